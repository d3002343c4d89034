"""Fine-tuning of a causal language model through TRL, with the loss on completions alone."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, disable_progress_bars
from transformers import PrinterCallback
from trl import SFTConfig, pack_dataset

from refine_af.errors import InputError
from refine_af.jobs.curves import Curves
from refine_af.models.backbones import load_backbone
from refine_af.models.device_faults import first_line, free_cached, out_of_memory
from refine_af.models.lora import with_lora
from refine_af.models.shapes import check_length, room_of, text_config
from refine_af.models.snapshots import Snapshot, newest_snapshot
from refine_af.models.upstream import use_one_gpu
from refine_af.settings.compute import SftMachine
from refine_af.settings.sft import Sft
from refine_af.sft.attention import without_padding
from refine_af.sft.batches import Batches, fitting, rows_an_update
from refine_af.sft.processes import Processes
from refine_af.sft.rows import IGNORED, TrainingRow
from refine_af.sft.trainer import ResumableTrainer, Updates

HISTORY = ("step", "epoch", "loss", "learning_rate")
TIMING = ("step", "seconds", "tokens", "tokens_per_s")
SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}


@dataclass(frozen=True)
class Trained:
    """Lines of history.csv and of timing.csv, one an update."""

    history: Sequence[Mapping[str, float]]
    timing: Sequence[Mapping[str, float]]


def tuned(
    backbone: Path,
    tokenizer: Any,
    rows: Sequence[TrainingRow],
    settings: Sft,
    compute: SftMachine,
    shown: Callable[[], Curves],
    kept: Path,
    processes: Processes,
) -> tuple[Any, Trained]:
    """A model trained from the newest checkpoint in the folder `kept`, or from `backbone`, on.

    Where memory does not hold a micro-batch, it goes on from there with half of it: the updates
    are the same up to the rounding of sums, and dropout's draw. InputError where not even one
    row fits, where a row is longer than the model's context, where packed rows would see each
    other, where the loss is no number, and where a checkpoint cannot be written.
    """
    share = rows_an_update(settings) // processes.count
    micro_batch = compute.micro_batch
    while True:
        snapshot = processes.told(newest_snapshot(kept) if processes.first else None)
        if snapshot:
            micro_batch = min(micro_batch, snapshot.state["micro_batch"])
        micro_batch = fitting(micro_batch, share)
        model = _fresh(backbone, settings)
        try:
            with closing(shown()) as curves:
                found = train(
                    *(model, tokenizer, rows, settings, compute, curves, kept),
                    *(processes, micro_batch, snapshot),
                )
            return model, found
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            micro_batch = _half(micro_batch, processes, error)
        place = model.device
        del model
        gc.collect()
        free_cached(place)


def train(
    model: Any,
    tokenizer: Any,
    rows: Sequence[TrainingRow],
    settings: Sft,
    compute: SftMachine,
    curves: Curves,
    kept: Path,
    processes: Processes,
    micro_batch: int,
    snapshot: Snapshot | None,
) -> Trained:
    """Train `model` in place to the last update, from a snapshot where there is one."""
    _check_room(model, rows)
    padding_free = without_padding(model, packing=settings.packing)
    blocks = _blocks(rows, settings)
    batches = Batches(
        rows=len(blocks) - 1,
        global_batch=rows_an_update(settings),
        micro_batch=micro_batch,
        seed=settings.seed,
        processes=processes.count,
        rank=processes.rank,
    )
    trainer = ResumableTrainer(
        batches=batches,
        kept=kept,
        updates=Updates(settings, batches, curves),
        model=model,
        args=_arguments(settings, compute, batches, padding_free, kept),
        train_dataset=blocks,
        processing_class=tokenizer,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.go_on_from(snapshot)
    lengths = [len(entry) for entry in blocks["input_ids"]]
    logs = [log for log in trainer.state.log_history if "loss" in log]
    return Trained(*zip(*(_lines(log, batches, lengths) for log in logs), strict=True))


def _lines(
    log: Mapping[str, float], batches: Batches, lengths: Sequence[int]
) -> tuple[dict[str, float], dict[str, float]]:
    """An update's line of history.csv and of timing.csv."""
    step = int(log["step"])
    # The trainer's own epoch counts micro-batches, which are another number on other hardware.
    history = {**{key: log[key] for key in HISTORY}, "epoch": batches.epochs_after(step)}
    tokens, seconds = sum(lengths[row] for row in batches.update(step - 1)), log["seconds"]
    timing = dict(zip(TIMING, (step, seconds, tokens, tokens / seconds), strict=True))
    return history, timing


def _fresh(backbone: Path, settings: Sft) -> Any:
    if settings.tuning == "full":
        # In 16 bits a step of 2e-5 would be lost in rounding.
        return load_backbone(backbone, quantization="none", dtype=torch.float32)
    model = load_backbone(backbone, quantization=settings.quantization)
    return with_lora(model, settings.lora, seed=settings.seed, section="sft.lora")


def _half(micro_batch: int, processes: Processes, error: Exception) -> int:
    if processes.count > 1:  # the others wait for this one, and cannot be told
        raise InputError(
            f"out of memory with {micro_batch} rows at a time on each of {processes.count} GPUs: "
            f"{first_line(error)}; a lower compute.sft.micro_batch needs less"
        ) from None
    if micro_batch == 1:
        raise InputError(
            f"out of memory with one row at a time: {first_line(error)}; a lower sft.max_length, "
            "or compute.sft.gradient_checkpointing: true, needs less"
        ) from None
    half = micro_batch // 2
    print(f"out of memory with {micro_batch} rows at a time: going on with {half}", flush=True)
    return half


def _blocks(rows: Sequence[TrainingRow], settings: Sft) -> Dataset:
    """The rows, or blocks of several where they are packed, and a blank one last, without loss."""
    blocks = Dataset.from_list([vars(entry) for entry in rows])
    if settings.packing:
        disable_progress_bars()
        blocks = pack_dataset(blocks, settings.max_length, strategy="bfd")
    entries = blocks.to_list()
    ids = rows[0].input_ids[:2]
    blank = {"input_ids": ids, "labels": [IGNORED] * len(ids), "seq_lengths": [len(ids)]}
    return Dataset.from_list([*entries, {key: blank[key] for key in entries[0]}])


def _check_room(model: Any, rows: Sequence[TrainingRow]) -> None:
    room = room_of(text_config(model))
    longest = max(len(entry.input_ids) for entry in rows)
    if room is not None and longest > room:
        raise InputError(
            f"an instance has {longest} tokens, which exceeds the model's context of {room}: "
            f"sft.max_length can be {room} at most"
        )
    check_length(model, longest, "fine-tuning")


def _arguments(
    settings: Sft, compute: SftMachine, batches: Batches, padding_free: bool, kept: Path
) -> SFTConfig:
    gpu = torch.cuda.is_available()
    arguments = SFTConfig(
        output_dir=str(kept),
        seed=settings.seed,
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=SCHEDULES[settings.schedule],
        warmup_steps=settings.warmup_ratio,  # below 1 it is a share of all steps
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        per_device_train_batch_size=batches.micro_batch,
        gradient_accumulation_steps=batches.accumulation,
        max_length=None,
        padding_free=padding_free,
        dataset_kwargs={"skip_prepare_dataset": True},
        use_cpu=not gpu,
        bf16=gpu,
        activation_checkpointing=compute.gradient_checkpointing,
        ddp_find_unused_parameters=False,
        save_strategy="steps",
        save_steps=compute.checkpoint_every,
        report_to="none",
        logging_steps=1,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        dataloader_num_workers=0,
        dataloader_pin_memory=gpu,
    )
    use_one_gpu(arguments)
    return arguments
