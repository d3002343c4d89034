"""Fine-tuning on the page: what each cell was tuned on, and the course of its loss."""

from __future__ import annotations

from refine_af.report.curves import ends
from refine_af.report.drawing import Drawing, shown
from refine_af.report.finished_run import ModelRun
from refine_af.report.pages import Html, paragraph, section, table
from refine_af.report.summaries import cell_name, cells
from refine_af.report.trainings import seeds_of
from refine_af.report.wording import counted, listed, number
from refine_af.settings.report import Report

COLUMNS = ("", "instances", "tokens learnt", "updates", "epochs", "loss at first", "at last")


def sft_section(run: ModelRun, settings: Report, drawing: Drawing) -> Html:
    """How many updates of what each cell had, and its loss at first and at last."""
    falls = [cell for cell in run.tuned if _ends(run, cell)[1] < _ends(run, cell)[0]]
    others = [cell_name(cell) for cell in run.tuned if cell not in falls]
    several = any(seeds_of(run, cell).several for cell in cells(run.scores) if cell[1])
    fell = f"In {len(falls)} of {counted(len(run.tuned), 'cell')} the loss fell"
    caption = (
        "Loss of each update of fine-tuning, on the completions of its rows, and its moving "
        f"average of span {settings.span}, by the number of {run.sized_by}."
    )
    return section(
        f"{run.name}_sft",
        "Fine-tuning",
        paragraph(
            f"{fell} from the first tenth of the updates to the last"
            f"{f'; not in {listed(others)}' if others else ''}.",
            "It is the loss of what is being trained on: no instance is held out, so it tells "
            "nothing of what was not trained on. Cells of different sizes have different data.",
            "Each cell's first training is told here, of several." if several else "",
        ),
        shown(drawing, "Lines", caption),
        table(
            "What each cell was tuned on, and its mean loss over the first and the last tenth of "
            "its updates",
            COLUMNS,
            [_row(run, cell) for cell in run.tuned],
        ),
        level=3,
    )


def _ends(run: ModelRun, cell: tuple[str, str]) -> tuple[float, float]:
    _, first, last = ends(run.tuned[cell].history)
    return float(first["loss"].mean()), float(last["loss"].mean())


def _row(run: ModelRun, cell: tuple[str, str]) -> list[str]:
    found = run.tuned[cell]
    return [
        cell_name(cell),
        f"{found.instances:,}",
        f"{found.completion_tokens:,} of {found.tokens:,}",
        f"{len(found.history):,}",
        number(found.history["epoch"].iloc[-1], 2),
        *(number(loss) for loss in _ends(run, cell)),
    ]
