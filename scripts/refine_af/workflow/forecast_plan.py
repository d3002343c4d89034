"""What an experiment is expected to cost, as the rules ask for it: a job's `runtime`, and all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refine_af.errors import InputError
from refine_af.files.documents import read_document, write_json
from refine_af.forecast.assumptions import Estimate, ranges_of
from refine_af.forecast.hours import STAGES, Foretold, Jobs, Seconds, kept, ratios_of
from refine_af.forecast.known import Checkpoints, lines_of, published, repository
from refine_af.forecast.rates import Machine, machine_of
from refine_af.forecast.screen import Fetched
from refine_af.forecast.work import Beside
from refine_af.jobs.record import now
from refine_af.records.cells import tuned_cell
from refine_af.records.cost import seconds_taken
from refine_af.records.forecast import digest_of_settings
from refine_af.rewards.equation_1 import judges_of
from refine_af.settings.experiment import Experiment
from refine_af.workflow.paths import checkpoint_folder
from refine_af.workflow.replicates import Replicates
from refine_af.workflow.segments import Segments

if TYPE_CHECKING:
    from refine_af.forecast.memory import Memory

FORECAST = Path("results/forecast.json")
EVALUATED = Path("results/superni_instances.jsonl")  # once made: a task may have fewer than asked
CALIBRATION = Path("results/calibration.json")  # of this experiment, or else of the project
# Instructions of users and tasks of Super-NI, where the files are not there yet; and the demo's.
USERS, TASKS, OF_DEMO = 252, 119, 12
Minutes = Callable[[Any, int], int]


class ForecastPlan:
    """What the rules ask of the forecast. Nothing is computed before it is asked for."""

    def __init__(self, experiment: Experiment, root: Path, located: Callable[[str], str]) -> None:
        self._whole, self._root, self._located = experiment, root, located

    def on(self, machine: Machine) -> Foretold:
        """The forecast on a machine, corrected by the finished run that config.yaml names."""
        named = self._whole.forecast.finished
        return self._foretold(machine, self._corrections(machine, named) if named else {})

    @cached_property
    def machine(self) -> Machine:
        """The machine that config.yaml names, or the one that is measured."""
        own = CALIBRATION if CALIBRATION.is_file() else self._root / CALIBRATION
        return machine_of(self._whole.forecast, own)

    @cached_property
    def foretold(self) -> Foretold:
        """The forecast on that machine."""
        return self.on(self.machine)

    def memory(self, model: str, foretold: Foretold) -> Memory:
        """What a model's stages need on the machine of a forecast; torch is imported."""
        from refine_af.forecast.memory import Memory

        shape, named = foretold.shapes[model], self._whole.models[model].checkpoint
        assert shape is not None, f"{model}: asked for what is not known"
        likely = foretold.likely
        described = self._checkpoints.described(named, self._folders(named))
        rates = foretold.machine.rates(likely)
        return Memory(self._whole, described, shape, foretold.beside, rates, likely)

    def checkpoints(self) -> Iterator[Fetched]:
        """The checkpoints that the run begins from, once each."""
        backbones = {model.checkpoint: True for model in self._whole.models.values()}
        named = {**dict.fromkeys(judges_of(self._whole.reward).values(), False), **backbones}
        for checkpoint, is_backbone in sorted(named.items(), key=lambda entry: not entry[1]):
            folders, name = self._folders(checkpoint), repository(checkpoint)
            here = any(folder.is_dir() for folder in folders) or not name
            known = self._checkpoints.table.get(name)
            shape = self._checkpoints.shape(checkpoint, folders) if is_backbone else None
            judge = self._checkpoints.judge(checkpoint, folders)[1]
            yield Fetched(
                name or checkpoint,
                shape.stored if shape else judge,
                here,
                bool(known and known.gated),
            )

    @cached_property
    def _checkpoints(self) -> Checkpoints:
        table = published(self._root / "resources" / "checkpoints.json")
        return Checkpoints(table, self._whole.demo)

    def keep(self, resolved: str) -> None:
        """Write what is foretold of a run as it begins, unless it was for these settings before:
        what changes rates alone, such as section `forecast`, replaces nothing.

        `resolved` is its results/config.yaml. InputError where it cannot be written.
        """
        digest = digest_of_settings(resolved)
        if FORECAST.is_file() and read_document(FORECAST).get("settings_sha256") == digest:
            return
        write_json(FORECAST, asdict(kept(self.foretold, digest, now())))

    def runtime(self, stage: str, minutes: int | None) -> Minutes:
        """A job's time limit in minutes: what config.yaml says, or else the most that the job is
        foretold to take, with the headroom, again with each attempt.
        """

        def limit(wildcards: Any, attempt: int) -> int:
            return minutes if minutes is not None else attempt * self._limit(stage, wildcards)

        return limit

    def _limit(self, stage: str, wildcards: Any) -> int:
        settings = self._whole.forecast
        if stage not in STAGES:
            return settings.unknown_runtime
        found = self._of_job(stage, wildcards)
        if found is None:
            return settings.unknown_runtime
        minutes = settings.headroom * found.most / 60
        return max(settings.least_runtime, math.ceil(minutes / 10) * 10)

    def _of_job(self, stage: str, wildcards: Any) -> Estimate | None:
        """The longest job of the stage that the wildcards name."""
        named = getattr(wildcards, "model", None)
        models = [named] if named else list(self._whole.models)
        jobs = [(model, one) for model in models for one in self._ones(stage, wildcards)]
        found = [self.foretold.longest(model, stage, one) for model, one in jobs]
        known = [one for one in found if one is not None]
        longest = max(known, key=lambda one: one.most, default=None)
        return longest if len(known) == len(found) else None

    def _ones(self, stage: str, wildcards: Any) -> list[Seconds]:
        """What a job of a stage does, of those that may have these wildcards."""
        if stage == "instructions":
            return [lambda work: work.instructions(int(wildcards.segment))]
        if stage == "sft":
            cell = tuned_cell(wildcards.cell)
            assert cell is not None, f"{wildcards.cell}: no rule makes a tuned cell of this name"
            return [lambda work: work.tuning(int(cell.size))]
        return [one for _, one in self.foretold.parts(stage)]

    def _foretold(self, machine: Machine, corrections: dict[Any, float]) -> Foretold:
        whole, shapes = self._whole, {}
        for name, model in whole.models.items():
            try:
                shapes[name] = self._checkpoints.shape(
                    model.checkpoint, self._folders(model.checkpoint)
                )
            except InputError as error:
                raise InputError(f"config.yaml, models.{name}.checkpoint: {error}") from None
        return Foretold(
            whole,
            machine,
            shapes,
            self._beside(),
            self._jobs(),
            ranges_of(whole.forecast),
            corrections,
        )

    def _folders(self, checkpoint: str) -> list[Path]:
        """Where the files of a checkpoint may stand."""
        folder = checkpoint_folder(checkpoint)
        mirror = self._whole.fetch.mirror if self._whole.fetch else None
        copies = [Path(self._located(mirror), "checkpoints", Path(folder).name)] if mirror else []
        return [Path(self._located(folder)), *copies]

    def _beside(self) -> Beside:
        whole, unread = self._whole, self._whole.forecast.unread_prompt
        judges = {
            key: self._checkpoints.judge(named, self._folders(named))
            for key, named in judges_of(whole.reward).items()
        }
        reward, evaluator = (judges.get(key, (0.0, 0.0)) for key in ("model", "evaluator"))
        named = whole.fetch.superni_tasks if whole.fetch else None
        tasks, users = (OF_DEMO, OF_DEMO) if whole.demo else (len(named or ()) or TASKS, USERS)
        tasks = lines_of(Path(self._located(whole.data.superni), "tasks.txt"), tasks)
        users = lines_of(Path(self._located(whole.data.user_instructions)), users)
        evaluated = lines_of(EVALUATED, tasks * whole.superni.instances_per_task)
        return Beside(
            self._characters(whole.prompts.instructions, unread),
            self._characters(whole.prompts.classification, unread),
            self._characters(whole.prompts.instances, unread),
            evaluated,
            users,
            reward[0],
            evaluator[0],
            reward[1] + evaluator[1],
        )

    def _characters(self, prompt: str, unread: int) -> int:
        path = Path(self._located(prompt))
        return path.stat().st_size if path.is_file() else unread

    def _jobs(self) -> Jobs:
        replicates, segments = Replicates(self._whole), Segments(self._whole)
        size = self._whole.instructions.segment_size
        each = self._whole.instances.per_instruction if segments.grows else 1
        cells = (tuned_cell(name) for name in replicates.tuned)
        branch = self._whole.instances.classification
        return Jobs(
            segments=-(-segments.needed // (size * each)),
            trainings=len(replicates.ppo),
            data_sets=len(replicates.data_sets),
            tuned=[int(cell.size) for cell in cells if cell is not None],
            untuned=len(self._whole.superni.baselines),
            classified=bool(branch and branch.methods),
        )

    def _corrections(self, machine: Machine, named: str) -> dict[Any, float]:
        """How a finished run's hours compare with what is foretold of it on this machine."""
        from refine_af.workflow.configuration import read_configuration, read_experiment

        folder = Path(self._located(named))
        try:
            taken = seconds_taken(folder / "cost.csv")
            other = read_experiment(read_configuration(folder / "config.yaml"))
        except InputError as error:
            raise InputError(f"config.yaml, forecast.finished: {error}") from None
        # Its paths are of its own folder; the project's are the same.
        there = ForecastPlan(other, self._root, lambda path: _there(folder, path, self._located))
        return ratios_of(there._foretold(machine, {}).rows(), taken)


def _there(folder: Path, path: str, located: Callable[[str], str]) -> str:
    """Where a path of a finished run's config.yaml stands; `folder` are its results."""
    own = path.startswith("results/")
    return str(folder / path.removeprefix("results/")) if own else located(path)
