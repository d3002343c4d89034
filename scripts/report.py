"""The report: one HTML page on what the run made, with its figures as files beside it."""

from itertools import chain
from pathlib import Path

from refine_af.command_line import run
from refine_af.errors import InputError
from refine_af.landing import whole_file, whole_folder
from refine_af.report.contents import drawings
from refine_af.report.contents import report as report_page
from refine_af.report.finished_run import (
    ModelRun,
    read_alarms,
    read_answers,
    read_instance_scores,
    read_instances,
    read_pool,
    read_scores,
    read_steps,
    read_truth,
)
from refine_af.report.settings import Report


def main(
    *,
    settings: Report,
    models: list[str],
    methods: list[str],
    pools: list[Path],
    ppo: list[Path],
    instances: list[Path],
    tables: list[Path],
    scores: list[Path],
    truths: list[Path],
    report: Path,
    figures: Path,
) -> None:
    """Write the page and the folder of figures.

    Lists follow the order of `models`: `pools` holds each one's segments, `instances` each one's
    segments method by method, `ppo`, `tables` and `scores` (of instances) one entry each,
    `truths` one each or none.
    """
    runs = _runs(
        models=models,
        methods=methods,
        pools=pools,
        ppo=ppo,
        instances=instances,
        tables=tables,
        scores=scores,
        truths=truths,
    )
    drawn = [drawings(run, settings) for run in runs]
    page = report_page(runs, drawn, settings)
    with whole_folder(figures) as folder:
        for drawing in chain.from_iterable(drawn):
            (folder / f"{drawing.name}.svg").write_bytes(drawing.svg)
            (folder / f"{drawing.name}.png").write_bytes(drawing.png)
            drawing.numbers.to_csv(folder / f"{drawing.name}.csv", index=False)
    with whole_file(report) as aside:
        aside.write_text(page, encoding="utf-8")
    print(f"{report}: the report; {figures}: its figures")


def _runs(
    *,
    models: list[str],
    methods: list[str],
    pools: list[Path],
    ppo: list[Path],
    instances: list[Path],
    tables: list[Path],
    scores: list[Path],
    truths: list[Path],
) -> list[ModelRun]:
    if not models or len(set(models)) < len(models):
        raise InputError(f"--models: no list of different names: {models}")
    of_pools = _by_owner("--pools", pools, models)
    of_instances = _by_owner("--instances", instances, models)
    of_ppo = _by_owner("--ppo", ppo, models, each=1)
    of_tables = _by_owner("--tables", tables, models, each=1)
    of_scores = _by_owner("--scores", scores, models, each=1)
    of_truths = _by_owner("--truths", truths, models, each=1) if truths else {}
    return [
        _model_run(
            model,
            pool=of_pools[model],
            ppo=of_ppo[model][0],
            instances=_by_owner("--instances", of_instances[model], methods),
            table=of_tables[model][0],
            instance_scores=of_scores[model][0],
            truth=of_truths[model][0] if truths else None,
        )
        for model in models
    ]


def _model_run(
    model: str,
    *,
    pool: list[Path],
    ppo: Path,
    instances: dict[str, list[Path]],
    table: Path,
    instance_scores: Path,
    truth: Path | None,
) -> ModelRun:
    instructions, rejected, rounds = read_pool(pool)
    scores = read_scores(table, list(instances))
    written = {method: read_instances(segments) for method, segments in instances.items()}
    return ModelRun(
        name=model,
        pool=instructions,
        rejected=rejected,
        rounds=rounds,
        steps=read_steps(ppo),
        answers=read_answers(ppo),
        instances={method: rows for method, (rows, _) in written.items()},
        counts={method: counts for method, (_, counts) in written.items()},
        alarms=read_alarms(ppo),
        scores=scores,
        instance_scores=read_instance_scores(instance_scores, scores, list(instances)),
        truth=read_truth(truth) if truth else None,
    )


def _by_owner(
    flag: str, paths: list[Path], owners: list[str], each: int | None = None
) -> dict[str, list[Path]]:
    """Each owner's share of the paths, which come owner by owner; `each` where that is known."""
    size = each or len(paths) // max(1, len(owners))
    if not size or size * len(owners) != len(paths):
        raise InputError(f"{flag}: {len(paths)} paths cannot be shared out among {owners}")
    return {owner: paths[number * size :][:size] for number, owner in enumerate(owners)}


if __name__ == "__main__":
    run(main)
