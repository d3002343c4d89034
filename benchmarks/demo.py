"""How far the demo's figures go apart over kinds of CPU and over seeds.

torch picks its kernels by what the CPU can do, and their sums differ in the last bits; a model that
is trained from them differs altogether. So each run here is the whole demo, under one kind of CPU
and with one number added to every seed of its config. Finished runs are kept in --folder, and not
made again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("default", "avx2", "avx512")
SEEDED = ("demo", "instructions", "ppo", "instances", "sft")  # what a demo run draws from
Figures = Mapping[str, Any]

COLUMNS: dict[str, Callable[[Figures], str]] = {
    "reward": lambda run: f"{run['reward'][0]:.3f} → {run['reward'][1]:.3f}",
    "its difference": lambda run: "{:+.3f} ({:.3f} to {:.3f})".format(*run["reward"][2:]),
    "by Eq. 1": lambda run: "{:+.3f} ({:.3f} to {:.3f})".format(*run["eq_1"][2:]),
    "reward of instances": lambda run: "{:+.3f} ({:.3f} to {:.3f})".format(*run["instances"][2:]),
    "junk": lambda run: "{} of {} → {} of {}".format(*run["junk"]),
    "true": lambda run: "{} of {} → {} of {}".format(*run["true"]),
    "ROUGE-L, base": lambda run: f"{run['base']:.1f}",
    "tuned": lambda run: f"{min(run['tuned']):.1f} to {max(run['tuned']):.1f}",
    "refine-af less self-instruct": lambda run: ", ".join(f"{each:+.1f}" for each in run["apart"]),
}


def experiment(folder: Path, added: int) -> Path:
    """A folder with the demo's config, `added` on each of its seeds."""
    folder.mkdir(parents=True, exist_ok=True)
    paper = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    demo = yaml.safe_load((ROOT / "demo/config.yaml").read_text(encoding="utf-8"))
    seeds = {name: (paper.get(name) or {}) | (demo.get(name) or {}) for name in SEEDED}
    config: dict[str, Any] = {"extends": str(ROOT / "demo/config.yaml")}
    config |= {name: {"seed": section["seed"] + added} for name, section in seeds.items()}
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return folder


def run_demo(folder: Path, kind: str) -> None:
    """The demo's run up to its report, under one kind of CPU, in one process at a time."""
    environment = os.environ | {
        "ATEN_CPU_CAPABILITY": kind,
        "OMP_NUM_THREADS": "1",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()]),
    }
    command = ["snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    command += [
        "--quiet",
        "all",
        "--cores",
        "1",
        "--rerun-incomplete",
        "--workflow-profile",
        "none",
    ]
    command += ["--", "results/report.html"]
    subprocess.run(command, check=True, env=environment)


def figures(results: Path) -> Figures:
    """What a finished run's files say: of the answers to fixed prompts before and after PPO, of the
    instances by the untouched backbone and by the trained one, and of the scores.
    """
    answered, instances = (
        pd.read_csv(results / f"figures/{kind}_tiny-llama.csv", index_col="name")
        for kind in ("answers", "rewards")
    )
    spans = ["before", "after", "difference", "low", "high"]
    truths = json.loads((results / "demo/truth_tiny-llama.json").read_text(encoding="utf-8"))
    counted = {
        mark: [truths[when][key] for when in ("before", "after") for key in (mark, of)]
        for mark, of in (("junk", "parsed"), ("true", "checked"))
    }
    scores = pd.read_csv(results / "figures/superni_tiny-llama.csv")
    tuned = scores[scores["size"].notna()]
    apart = pd.read_csv(results / "figures/table_2.csv")
    return counted | {
        "reward": list(answered.loc["reward", spans]),
        "eq_1": list(answered.loc["reward by Eq. 1 of the paper", spans]),
        "instances": list(instances.loc["reward", spans]),
        "base": float(scores.loc[scores["method"] == "base", "rouge_l"].iloc[0]),
        "tuned": tuned["rouge_l"].tolist(),
        "apart": apart["difference"].tolist(),
        "p": apart["p"].tolist(),
    }


def table(runs: Mapping[str, Figures]) -> Iterator[str]:
    """The runs as Markdown, a row each."""
    yield f"| run | {' | '.join(COLUMNS)} |"
    yield "|---" * (len(COLUMNS) + 1) + "|"
    for name, run in runs.items():
        yield f"| {name} | {' | '.join(told(run) for told in COLUMNS.values())} |"


def ranges(runs: Mapping[str, Figures]) -> Iterator[str]:
    """What the runs have in common, and between what their figures lie."""
    every = list(runs.values())
    told = {
        "reward": "of answers to the fixed prompts, before and after PPO",
        "eq_1": "the same answers by Eq. 1",
        "instances": "of instances, self-instruct's and refine-af's",
    }
    for name, what in told.items():
        before, after, change = ([run[name][place] for run in every] for place in (0, 1, 2))
        above = sum(run[name][3] > 0 for run in every)
        yield (
            f"reward {what}: {min(before):.3f} to {max(before):.3f} and {min(after):.3f} to "
            f"{max(after):.3f}, {min(change):+.3f} to {max(change):+.3f} apart; the interval is "
            f"above zero in {above} of {len(every)} runs"
        )
    for mark in ("junk", "true"):
        shares = [(run[mark][0] / run[mark][1], run[mark][2] / run[mark][3]) for run in every]
        firsts, lasts = zip(*shares, strict=True)
        yield (
            f"{mark}: {min(firsts):.1%} to {max(firsts):.1%} before, {min(lasts):.1%} to "
            f"{max(lasts):.1%} after; it rose in {sum(a > b for b, a in shares)} of {len(every)}"
        )
    tuned = [each for run in every for each in run["tuned"]]
    bases = [run["base"] for run in every]
    least = min(min(run["tuned"]) - run["base"] for run in every)
    yield (
        f"ROUGE-L: base {min(bases):.1f} to {max(bases):.1f}, tuned {min(tuned):.1f} to "
        f"{max(tuned):.1f}; the least gain of a cell over its base is {least:+.1f}"
    )
    apart = [(gap, p) for run in every for gap, p in zip(run["apart"], run["p"], strict=True)]
    yield (
        f"refine-af less self-instruct: {min(apart)[0]:+.1f} to {max(apart)[0]:+.1f} in "
        f"{len(apart)} comparisons; {sum(gap > 0 for gap, _ in apart)} are positive, and "
        f"{sum(p < 0.05 for _, p in apart)} have p below .05"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where the runs are kept")
    parser.add_argument("--kinds", nargs="+", default=KINDS, help="of CPU, as torch names them")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="added to each")
    parser.add_argument("--json", type=Path, help="where all numbers are written")
    given = parser.parse_args()
    runs = {}
    for added in given.seeds:
        for kind in given.kinds:
            folder = experiment(given.folder.resolve() / f"{kind}-{added}", added)
            if not (folder / "results/report.html").exists():
                run_demo(folder, kind)
            runs[f"{kind}, seed +{added}"] = figures(folder / "results")
    if given.json:
        given.json.write_text(json.dumps(runs, indent=1), encoding="utf-8")
    print(*table(runs), "", *ranges(runs), sep="\n")


if __name__ == "__main__":
    main()
