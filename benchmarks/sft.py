"""Fine-tuning, ways beside each other in one run: tokens trained on a second.

The same rows, updates and model of random weights: the micro-batches of two that the paper's batch
and accumulation state, the whole batch at once, and the same without recomputing the layers in the
backward pass. Rows have lengths like those of instructions with their answers. Prints Markdown.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import yaml
from transformers.utils.logging import disable_progress_bar
from ways import DEMONSTRATIONS, ROOT, SHAPES, clock, place_name, random_model, word_tokenizer

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "scripts"))

from refine_af.jobs.curves import Curves
from refine_af.models.backbones import load_tokenizer, precision
from refine_af.settings.compute import SftMachine
from refine_af.settings.sft import Sft
from refine_af.sft.batches import rows_an_update
from refine_af.sft.processes import Processes
from refine_af.sft.rows import IGNORED, TrainingRow
from refine_af.sft.training import Trained, tuned

PAPER_ROWS, EPOCHS = 15_000, 3


def made_up(count: int, vocabulary: int) -> list[TrainingRow]:
    """Rows of 20 to 400 tokens, half of them below 90, of which the last third is learned."""
    drawn = random.Random(0)
    rows = []
    for _ in range(count):
        length = round(min(400.0, max(20.0, drawn.lognormvariate(4.5, 0.7))))
        ids = [drawn.randrange(3, vocabulary) for _ in range(length)]
        given = 2 * length // 3
        rows.append(TrainingRow(ids, [IGNORED] * given + ids[given:]))
    return rows


def trained(
    folder: Path, rows: list[TrainingRow], settings: Sft, micro_batch: int, recomputed: bool
) -> Trained:
    """What fine-tuning tells of its updates, whose seconds are those of `clock`."""
    changes = {"micro_batch": micro_batch, "gradient_checkpointing": recomputed}
    compute = SftMachine.model_validate(section("compute")["sft"]).model_copy(
        update=changes | {"checkpoint_every": 10**6}
    )
    with (
        tempfile.TemporaryDirectory() as place,
        redirect_stdout(StringIO()),
        patch.object(time, "monotonic", clock),
    ):
        return tuned(
            folder,
            load_tokenizer(folder),
            rows,
            settings,
            compute,
            partial(Curves, [], Path(place), "sft"),
            Path(place),
            Processes(1, 0),
        )[1]


def section(name: str) -> dict[str, Any]:
    """A section of the paper's config.yaml."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())[name]
    return found


def settings_of(arguments: argparse.Namespace) -> Sft:
    """The paper's settings for one epoch; without a GPU the weights are not rounded."""
    quantization = "nf4" if torch.cuda.is_available() else "none"
    return Sft.model_validate(section("sft") | {"epochs": 1, "quantization": quantization})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="20m", help="a model of random weights")
    parser.add_argument("--updates", type=int, default=8, help="of each way")
    arguments = parser.parse_args()
    if arguments.updates < 2:
        parser.error("--updates must be 2 or more: the first is not counted")
    disable_progress_bar()
    settings = settings_of(arguments)
    rows = made_up(rows_an_update(settings) * arguments.updates, SHAPES[arguments.shape][-1])
    mean = statistics.fmean(len(row.input_ids) for row in rows)
    print(
        f"{arguments.shape}, {precision()}, {settings.quantization}, LoRA of rank "
        f"{settings.lora.r}, {arguments.updates} updates of {rows_an_update(settings)} rows, "
        f"{mean:.0f} tokens a row, on {place_name()}\n"
    )
    print("| way | tokens/s | ratio | 15,000 rows × 3, min |\n|---|---|---|---|")
    first = None
    with tempfile.TemporaryDirectory() as place:
        model = random_model(arguments.shape)
        model.save_pretrained(place)
        texts = [part for demonstration in DEMONSTRATIONS for part in demonstration]
        word_tokenizer(texts, model.config.vocab_size).save_pretrained(place)
        del model
        for name, micro_batch, recomputed in [
            ("2 rows at a time, layers recomputed", 2, True),
            ("8 rows at once, layers recomputed", 8, True),
            ("8 rows at once", 8, False),
        ]:
            found = trained(Path(place), rows, settings, micro_batch, recomputed)
            # In the first update memory is first taken.
            rate = statistics.median([row["tokens_per_s"] for row in found.timing][1:])
            first = first or rate
            minutes = PAPER_ROWS * EPOCHS * mean / rate / 60
            print(f"| {name} | {rate:,.0f} | {rate / first:.2f} | {minutes:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
