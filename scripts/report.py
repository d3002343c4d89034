"""The report: one HTML page on what the run made, with its figures as files beside it."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from refine_af.errors import InputError
from refine_af.files.landing import whole_file, whole_folder
from refine_af.files.shares import by_folder, by_owner
from refine_af.jobs.command_line import run
from refine_af.report.account import Account, read_account
from refine_af.report.contents import Settings, drawings, numbers_of_tables
from refine_af.report.contents import report as report_page
from refine_af.report.demo import Truths, read_truth
from refine_af.report.files import seen_from
from refine_af.report.findings import findings
from refine_af.report.finished_run import (
    ModelRun,
    read_instance_scores,
    read_instances,
    read_neighbours,
    read_overlaps,
    read_pool,
    read_ppo,
    read_scores,
)
from refine_af.report.lineage import lineage
from refine_af.report.published import Paper, read_paper
from refine_af.report.rated import read_ratings
from refine_af.report.right_answers import read_right_answers
from refine_af.report.tuned import read_tuned
from refine_af.report.verb_nouns import read_diversity
from refine_af.settings.overlap import OverlapBounds
from refine_af.settings.ratings import Summary
from refine_af.settings.report import Report
from refine_af.settings.reward import Weights
from refine_af.settings.subsets import Subsets


def main(
    *,
    settings: Report,
    weights: Weights,
    bounds: OverlapBounds,
    subsets: Subsets,
    rating_settings: Summary,
    algorithm: str,
    models: list[str],
    methods: list[str],
    rated: list[str],
    pools: list[Path],
    neighbours: list[Path],
    ppo: list[Path],
    adapters: list[Path],
    instances: list[Path],
    overlaps: list[Path],
    tables: list[Path],
    scores: list[Path],
    truths: list[Path],
    ratings: list[Path],
    checkable: list[Path],
    diversity: list[Path],
    paper: list[Path],
    cost: Path,
    provenance: Path,
    configuration: Path,
    forecast: Path,
    report: Path,
    figures: Path,
) -> None:
    """Write the page and its figures; lists follow `models`, each with one entry, some or none."""
    shares = _shares(models, methods, pools, ppo, adapters, instances, overlaps)
    files = {"neighbours": neighbours, "tables": tables, "scores": scores}
    some = {"ratings": (ratings, rated), "diversity": (diversity, models if diversity else [])}
    runs = _runs(algorithm.upper(), subsets.count, models, methods, shares, files, some, report)
    known = _truths(truths, models), next(map(read_right_answers, checkable), None)
    account = read_account(cost, provenance, configuration, forecast)
    told = Settings(settings, weights, bounds, subsets, rating_settings)
    _write(runs, read_paper(paper, report), told, known, account, report, figures)


def _write(
    runs: list[ModelRun],
    paper: Paper,
    settings: Settings,
    known: tuple[Mapping[str, Truths], pd.DataFrame | None],
    account: Account,
    report: Path,
    figures: Path,
) -> None:
    found = {run.name: findings(run, settings.weights, settings.report) for run in runs}
    drawn = [drawings(run, settings.report, paper) for run in runs]
    page = report_page(runs, found, drawn, paper, settings, *known, account)
    tables = numbers_of_tables(runs, found, paper, settings)
    of_all = [each for of_model in drawn for each in of_model if each]
    with whole_folder(figures) as folder:
        for drawing in of_all:
            (folder / f"{drawing.name}.svg").write_bytes(drawing.svg)
            (folder / f"{drawing.name}.png").write_bytes(drawing.png)
            drawing.numbers.to_csv(folder / f"{drawing.name}.csv", index=False)
        for name, table in tables.items():
            table.to_csv(folder / f"{name}.csv", index=False)
        found_in = lineage(runs, of_all, tables, paper)
        found_in.to_csv(folder / "lineage.csv", index=False)
    with whole_file(report) as aside:
        aside.write_text(page, encoding="utf-8")
    print(f"{report}: the report; {figures}: its figures")


def _shares(
    models: list[str],
    methods: list[str],
    pools: list[Path],
    ppo: list[Path],
    adapters: list[Path],
    instances: list[Path],
    overlaps: list[Path],
) -> dict[str, dict[str, list[Path]]]:
    """By flag each model's paths. Segments of a pool, and of a method, have a folder of their own,
    and may be more than another's."""
    if not models or len(set(models)) < len(models):
        raise InputError(f"--models: no list of different names: {models}")
    of_models = {"ppo": ppo, "adapters": adapters}
    shares = {name: by_owner(f"--{name}", paths, models) for name, paths in of_models.items()}
    shares["pools"] = by_folder("--pools", pools, models)
    parts = [f"{model}_{method}" for model in models for method in methods]
    for name, paths in (("instances", instances), ("overlaps", overlaps)):
        found = by_folder(f"--{name}", paths, parts)
        shares[name] = {
            model: [path for method in methods for path in found[f"{model}_{method}"]]
            for model in models
        }
    return shares


def _runs(
    algorithm: str,
    sized_by: str,
    models: list[str],
    methods: list[str],
    shares: Mapping[str, Mapping[str, list[Path]]],
    files: Mapping[str, list[Path]],
    some: Mapping[str, tuple[list[Path], list[str]]],
    page: Path,
) -> list[ModelRun]:
    """The models' results: of each flag in `shares` some files, of each in `files` one.

    Of a flag in `some` there is one of each of the models named there. The files that they are from
    are named as seen from the folder of the `page`.
    """
    single = {name: by_owner(f"--{name}", paths, models, each=1) for name, paths in files.items()}
    for name, (paths, owners) in some.items():
        single[name] = by_owner(f"--{name}", paths, owners, each=1)
    return [
        _model_run(
            model,
            algorithm,
            sized_by,
            methods,
            segments={name: found[model] for name, found in shares.items()},
            files={name: found[model][0] for name, found in single.items() if model in found},
            page=page,
        )
        for model in models
    ]


def _truths(paths: list[Path], models: list[str]) -> dict[str, Truths]:
    """What is known of each model's answers without a reward; of most runs nothing is."""
    if not paths:
        return {}
    by_model = by_owner("--truths", paths, models, each=1)
    return {model: read_truth(own[0]) for model, own in by_model.items()}


def _model_run(
    model: str,
    algorithm: str,
    sized_by: str,
    methods: list[str],
    *,
    segments: Mapping[str, list[Path]],
    files: Mapping[str, Path],
    page: Path,
) -> ModelRun:
    instructions, rejected, rounds = read_pool(segments["pools"])
    scores = read_scores(files["tables"], methods)
    by_method = by_folder("--instances", segments["instances"], methods)
    overlaps = by_folder("--overlaps", segments["overlaps"], methods)
    written = {method: read_instances(paths) for method, paths in by_method.items()}
    first, *further = map(read_ppo, segments["ppo"])
    return ModelRun(
        name=model,
        algorithm=algorithm,
        sized_by=sized_by,
        pool=instructions,
        rejected=rejected,
        rounds=rounds,
        steps=first.steps,
        neighbours=read_neighbours(files["neighbours"], instructions),
        answers=first.answers,
        instances={method: rows for method, (rows, _) in written.items()},
        counts={method: counts for method, (_, counts) in written.items()},
        overlaps={name: read_overlaps(overlaps[name], rows) for name, (rows, _) in written.items()},
        alarms=first.alarms,
        tuned=read_tuned(segments["adapters"]),
        scores=scores,
        instance_scores=read_instance_scores(files["scores"], scores, methods),
        ratings=read_ratings(files["ratings"]) if "ratings" in files else None,
        diversity=read_diversity(files["diversity"]) if "diversity" in files else None,
        further=further,
        sources={name: seen_from(page, paths) for name, paths in segments.items()}
        | {name: seen_from(page, [path]) for name, path in files.items()},
    )


if __name__ == "__main__":
    run(main)
