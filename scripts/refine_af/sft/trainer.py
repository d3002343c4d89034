"""TRL's SFTTrainer with batches, random numbers and checkpoints that lose nothing to a kill."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import TrainerCallback
from transformers.trainer import TRAINER_STATE_NAME
from trl import SFTTrainer

from refine_af.errors import InputError
from refine_af.jobs.curves import Curves
from refine_af.jobs.progress import Progress
from refine_af.models.snapshots import Snapshot, put_back, save_snapshot, training_tensors
from refine_af.models.upstream import OwnCheckpoints, Silent
from refine_af.randomness import derived_seed
from refine_af.settings.sft import Sft
from refine_af.sft.batches import Batches


class Updates(TrainerCallback):  # type: ignore[misc]
    """Begins each update with its own random numbers, and shows it with its loss and its curves."""

    def __init__(self, settings: Sft, batches: Batches, curves: Curves) -> None:
        self._settings = settings
        self._batches = batches
        self._curves = curves
        self._progress: Progress | None = None
        self.began = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Show where training begins."""
        state.save_steps = args.save_steps  # otherwise a checkpoint's own would be used
        for log in state.log_history:  # of updates before the checkpoint
            self._curves.add(log["step"], _figures(log))
        if self._batches.rank == 0:
            self._progress = Progress(state.max_steps, "updates")
            if state.global_step:
                self._progress.skip(state.global_step)
                self._progress.line(f"going on after update {state.global_step}")

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Let the batches be those of the epoch."""
        self._batches.epoch = state.global_step // self._batches.updates

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Seed the generators for the update and this process."""
        purpose = ("update", state.global_step, self._batches.rank)
        torch.manual_seed(derived_seed(self._settings.seed, *purpose))
        self.began = time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Show an update's loss. InputError where loss or gradient are not finite."""
        if "loss" not in logs:
            return
        for name in ("loss", "grad_norm"):
            if not math.isfinite(logs[name]):
                raise InputError(
                    f"sft, update {state.global_step}: {name} is {logs[name]}; a lower "
                    f"sft.learning_rate than {self._settings.learning_rate} may help"
                )
        self._curves.add(state.global_step, _figures(logs))
        if self._progress:
            self._progress.advance(note=f"loss {logs['loss']:.3f}")


def _figures(log: Mapping[str, Any]) -> dict[str, Any]:
    """An update's figures by the names of their curves; its epoch would count micro-batches."""
    return {f"sft/{name}": value for name, value in log.items() if name not in ("step", "epoch")}


class ResumableTrainer(OwnCheckpoints, Silent, SFTTrainer):  # type: ignore[misc]
    """Trains on `batches` and keeps its checkpoints in the folder `kept`.

    The trainer's own checkpoints are neither whole nor on disk when they appear, and hold the
    state of running random generators; ours land, and an update's random numbers come from seed
    and number. The trainer's state, which says where training stands, is its own file in ours.
    """

    def __init__(self, *, batches: Batches, kept: Path, updates: Updates, **given: Any) -> None:
        drawn = {name: weight.data for name, weight in given["model"].named_parameters()}
        super().__init__(**given, callbacks=[updates])
        # TRL rounds the adapter on a 4-bit model to bfloat16, where a step of 2e-5 is lost.
        for name, weight in self.model.named_parameters():
            if weight.requires_grad:
                weight.data = drawn[name]
        self._batches = batches
        self._kept = kept
        self._updates = updates

    def get_train_dataloader(self) -> Any:
        """This process's rows; what accelerate would divide anew is divided already."""
        return DataLoader(
            self.train_dataset,
            batch_sampler=self._batches,
            collate_fn=self.data_collator,
            pin_memory=self.args.dataloader_pin_memory,
        )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log an update with the seconds that it took."""
        super().log(logs | {"seconds": time.monotonic() - self._updates.began}, start_time)

    def save_training(self) -> None:
        """Land a snapshot, from the first process; the others wait."""
        if self.is_world_process_zero():
            save_snapshot(
                self._kept,
                self.state.global_step,
                training_tensors(self.model, self.optimizer),
                {
                    "micro_batch": self._batches.micro_batch,
                    "scheduler": self.lr_scheduler.state_dict(),
                },
                documents={TRAINER_STATE_NAME: asdict(self.state)},
            )
        self.accelerator.wait_for_everyone()

    def go_on_from(self, snapshot: Snapshot | None) -> None:
        """Train to the last update, from a snapshot where there is one."""
        self._snapshot = snapshot
        self.train(resume_from_checkpoint=str(snapshot.folder) if snapshot else None)

    def restore_training(self) -> None:
        """Put back weights, optimizer and schedule from the snapshot, if there is one."""
        if self._snapshot is None:
            return
        put_back(self.model, self.optimizer, self._snapshot.tensors())
        self.lr_scheduler.load_state_dict(self._snapshot.state["scheduler"])
        rates = self.lr_scheduler.get_last_lr()
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
