# The checked experiment as `plan`, and what of it needs other rules, for every file of rules.
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir, "scripts")))

from refine_af.errors import InputError
from refine_af.workflow.configuration import read_configuration, read_experiment, resolved
from refine_af.workflow.door import check_files
from refine_af.workflow.plan import Plan

try:
    experiment = read_experiment(read_configuration(Path("config.yaml"), config))
    plan = Plan(experiment, Path(os.path.relpath(workflow.basedir)))
except InputError as error:
    sys.exit(f"error: {error}")

# Jobs run with the interpreter that runs Snakemake, unless an environment of --sdm replaces it.
os.environ.update(PATH=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()]))


wildcard_constraints:
    model="[a-z0-9.-]+",
    method="self-instruct|refine-af",
    size="[0-9]+",
    segment="[0-9]+",
    cell="[a-z0-9._-]+",


onstart:
    Path("results").mkdir(exist_ok=True)
    Path("results/config.yaml").write_text(resolved(experiment), encoding="utf-8")


def replies_of(rounds):
    """The files of some rounds' replies."""
    pattern = "results/segments/replies_{model}/{method}/{segment}/{round}.jsonl"
    return expand(pattern, round=rounds, allow_missing=True)


def predicted(parts):
    """The files of some parts of a cell's predictions."""
    pattern = "results/segments/superni_{model}/{cell}/{part}.jsonl"
    return expand(pattern, part=parts, allow_missing=True)


def earlier_segments(wildcards):
    """The pool as it stood before a segment."""
    before = range(int(wildcards.segment))
    return expand(rules.instructions_segment.output.segment, model=wildcards.model, segment=before)


def first_segment(wildcards):
    """The segment of the pool that PPO reads."""
    return expand(rules.instructions_segment.output.segment, model=wildcards.model, segment=0)


def writer(wildcards):
    """What the method adds to the backbone: refine-af the adapter of PPO, self-instruct nothing."""
    trained = wildcards.method == "refine-af"
    return expand(rules.ppo.output.ppo, model=wildcards.model) if trained else []


def training_segments(wildcards):
    """The instances of the first {size} instructions, in whole segments."""
    return expand(
        rules.instances_segment.output.segment,
        model=wildcards.model,
        method=wildcards.method,
        segment=plan.segments_of(wildcards.size),
    )


def training_overlaps(wildcards):
    """What the same instances share with the evaluation sets, where it decides what stays."""
    if not experiment.sft.remove_overlap:
        return []
    return expand(
        rules.overlap.output.overlap,
        model=wildcards.model,
        method=wildcards.method,
        segment=plan.segments_of(wildcards.size),
    )


def tuned_adapter(wildcards):
    """The cell's adapter; a baseline has none."""
    if wildcards.cell in plan.baselines:
        return []
    method, _, size = wildcards.cell.rpartition("_")
    return expand(rules.sft.output.adapter, model=wildcards.model, method=method, size=size)


def reviewed_segments(wildcards):
    """The instances that people review: of the first instructions, in whole segments."""
    page = experiment.ratings.page
    return expand(
        rules.instances_segment.output.segment,
        model=wildcards.model,
        method=[name for name in page.methods if name in plan.methods] if page.instances else [],
        segment=plan.segments_of(plan.rated_size),
    )


def truths(wildcards):
    """The demo's check of outputs against exact solvers; no other experiment has one."""
    return expand(rules.demo_truth.output.truth, model=plan.models) if experiment.demo else []


def check_inputs():
    """Before any job: every file that config.yaml names is there, or can be made."""
    try:
        check_files(
            experiment, plan.located, lambda path: any(r.is_producer(path) for r in workflow.rules)
        )
    except InputError as error:
        sys.exit(f"error: {error}")
