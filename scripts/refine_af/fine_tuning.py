"""Fine-tuning of a causal language model through TRL, with the loss on completions alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

from refine_af.errors import InputError
from refine_af.lora import tidy_adapter
from refine_af.models import encode
from refine_af.progress import Progress
from refine_af.settings import Sft

IGNORED = -100  # the label that the loss leaves out
HISTORY = ("step", "epoch", "loss", "learning_rate")
SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}


@dataclass(frozen=True)
class Row:
    """Token ids of prompt, completion and end of text; `labels` are IGNORED on the prompt."""

    input_ids: list[int]
    labels: list[int]


def row(prompt: str, completion: str, tokenizer: Any) -> Row:
    """The tokens of a prompt and its completion, tokenised apart, as when a model answers."""
    given = encode(tokenizer, prompt, start=True)
    learned = [*encode(tokenizer, completion, start=False), tokenizer.eos_token_id]
    return Row(given + learned, [IGNORED] * len(given) + learned)


def figures(rows: Sequence[Row], history: Sequence[Any]) -> dict[str, int]:
    """How many tokens the rows hold, how many the loss is on, and how many updates were made."""
    learned = sum(label != IGNORED for entry in rows for label in entry.labels)
    tokens = sum(len(entry.input_ids) for entry in rows)
    return {"tokens": tokens, "completion_tokens": learned, "updates": len(history)}


def train(
    model: Any, tokenizer: Any, rows: Sequence[Row], settings: Sft, scratch: Path
) -> list[dict[str, float]]:
    """Train `model` in place; a row of history for each update.

    `scratch` is a folder that the trainer may name; nothing is written there. InputError where
    a row is longer than the model's context.
    """
    _check_room(model, rows)
    trainer = _Trainer(
        model=model,
        args=_arguments(settings, scratch),
        train_dataset=Dataset.from_list([vars(entry) for entry in rows]),
        processing_class=tokenizer,
        callbacks=[_Updates()],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return [
        {key: log[key] for key in HISTORY} for log in trainer.state.log_history if "loss" in log
    ]


def save_adapter(model: Any, folder: Path) -> None:
    """Write the adapter in PEFT's format: the same bytes wherever its backbone's folder stands."""
    model.save_pretrained(folder, save_embedding_layers=False)
    tidy_adapter(folder)


def _check_room(model: Any, rows: Sequence[Row]) -> None:
    room = getattr(model.config, "max_position_embeddings", None)
    longest = max(len(entry.input_ids) for entry in rows)
    if room is not None and longest > room:
        raise InputError(
            f"an instance has {longest} tokens, which exceeds the model's context of {room}: "
            f"sft.max_length can be {room} at most"
        )


def _arguments(settings: Sft, scratch: Path) -> SFTConfig:
    gpu = torch.cuda.is_available()
    return SFTConfig(
        output_dir=str(scratch),
        seed=settings.seed,
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=SCHEDULES[settings.schedule],
        warmup_steps=settings.warmup_ratio,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation_steps,
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        use_cpu=not gpu,
        bf16=gpu,
        activation_checkpointing=gpu,
        save_strategy="no",
        report_to="none",
        logging_steps=1,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        dataloader_num_workers=0,
        dataloader_pin_memory=gpu,
    )


class _Trainer(SFTTrainer):  # type: ignore[misc]
    def _send_telemetry(self) -> None:
        """Tell nobody; TRL's own reports each run to the hub."""


class _Updates(TrainerCallback):  # type: ignore[misc]
    """Shows every update with its loss."""

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._progress = Progress(state.max_steps, "updates")

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if self._progress and "loss" in logs:
            self._progress.advance(note=f"loss {logs['loss']:.3f}")
