"""Which files the report's figures and tables are from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from refine_af.report.drawing import Drawing
from refine_af.report.finished_run import ModelRun
from refine_af.report.published import Paper

# By table, the flags of the command line that name the files of a run that it is from.
OF_ALL = {
    "table_2": ("tables", "scores"),
    "table_3": ("tables",),
    "table_4": ("ratings",),
    "figure_5": ("neighbours",),
    "table_5": ("pools", "instances"),
}
OF_A_MODEL = {
    "answers": ("ppo",),
    "rewards": ("instances",),
    "overlap": ("instances", "overlaps"),
    "trainings": ("tables", "scores"),
}


def lineage(
    runs: Sequence[ModelRun], drawn: Iterable[Drawing], tables: Iterable[str], paper: Paper
) -> pd.DataFrame:
    """A row a figure or table, and file that it is from, as seen from the page's folder."""
    rows = [(drawing.name, source) for drawing in drawn for source in drawing.sources]
    rows += [(table, source) for table in tables for source in _sources(table, runs, paper)]
    return pd.DataFrame(rows, columns=["figure", "file"])


def _sources(table: str, runs: Sequence[ModelRun], paper: Paper) -> Iterator[str]:
    kind, _, model = table.partition("_")
    of_a_model = OF_A_MODEL.get(kind)
    for run in runs:
        if of_a_model is None or run.name == model:
            for flag in of_a_model or OF_ALL[table]:
                files = run.sources.get(flag, ())
                yield from files[:1] if flag == "ppo" else files  # the first run's are told
    if table in paper.sources:
        yield paper.sources[table]
