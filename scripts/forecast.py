"""What a run will cost, before it runs; and the rates of this machine, measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from refine_af.files.documents import write_json
from refine_af.files.landing import whole_file
from refine_af.forecast.hours import STAGES, Foretold
from refine_af.forecast.rates import read_calibration
from refine_af.forecast.screen import Told, screen
from refine_af.jobs.command_line import run
from refine_af.settings.experiment import Experiment
from refine_af.workflow.forecast_plan import ForecastPlan
from refine_af.workflow.plan import Plan

ROW_BYTES = 30_000  # of the demo: its texts, logs, pages and progress, by instance
KEPT_STEPS = 3  # of what is trained: it, and in the progress folder with Adam's two moments


def plan(*, experiment: Experiment, root: Path, forecast: Path) -> None:
    """Write the forecast as text, and print it."""
    paths = Plan(experiment, root)
    asked = paths.forecast
    foretold = asked.foretold
    said = screen(_told(experiment, paths, asked, foretold))
    with whole_file(forecast) as aside:
        aside.write_text(f"{said}\n", encoding="utf-8")
    print(said)


def calibrate(*, calibration: Path) -> None:
    """Measure this machine, and write its rates."""
    from refine_af.forecast.calibration import calibrated

    write_json(calibration, asdict(calibrated()))
    found = read_calibration(calibration)
    print(
        f"{found.name}: {found.reading_tflops:.3g} TFLOP/s reading, {found.training_tflops:.3g} in "
        f"training, {found.bandwidth_gb_s:.4g} GB/s; a layer takes {found.layer_ms:.3g} ms, "
        f"whatever its size, and {found.trained_layer_ms:.3g} ms forward and back; libraries take "
        f"{found.start_s:.3g} s"
    )


def _told(experiment: Experiment, paths: Plan, asked: ForecastPlan, foretold: Foretold) -> Told:
    machine, likely = foretold.machine, foretold.likely
    rows = foretold.rows()
    known = [(row.model, row.stage) for row in rows if row.seconds is not None]
    needed, least = {}, {}
    for model in experiment.models:
        if foretold.shapes[model] is None:
            continue
        memory = asked.memory(model, foretold)
        for stage in STAGES:
            if (model, stage) in known:
                needed[model, stage] = memory.of(stage)
                least[model, stage] = memory.least(stage)
    kept = len(experiment.models) * foretold.jobs.data_sets * foretold.jobs.segments
    kept *= experiment.instructions.segment_size * experiment.instances.per_instruction
    return Told(
        machine=machine.name,
        rests_on=machine.rests_on,
        gpu=machine.gpu,
        memory=machine.rates(likely).memory,
        rows=rows,
        total=foretold.total([(row.model, row.stage) for row in rows]),
        kept=kept,
        checkpoints=list(asked.checkpoints()),
        texts=kept * ROW_BYTES,
        tuned=sum(_trained(experiment, foretold)),
        needed=needed,
        least=least,
    )


def _trained(experiment: Experiment, foretold: Foretold) -> Iterator[float]:
    """Bytes of what is trained of each model, and of what is kept while it is."""
    sft = experiment.sft
    for shape in filter(None, foretold.shapes.values()):
        adapters = 4 * shape.adapted(experiment.ppo.lora)
        yield adapters * (foretold.jobs.trainings + KEPT_STEPS)
        if sft.tuning == "full":
            yield 4 * shape.counts.weights * (len(foretold.jobs.tuned) + KEPT_STEPS)
            continue
        yield 4 * shape.adapted(sft.lora) * (len(foretold.jobs.tuned) + KEPT_STEPS)
        yield shape.stored * len(foretold.jobs.tuned) * sft.merge


if __name__ == "__main__":
    run(plan, calibrate)
