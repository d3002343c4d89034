"""The memory that training and writing take, foretold on the meta device and measured.

Each case runs some times, in processes of their own, on a CPU: a first small pass takes what the
libraries keep, then the most that the process holds is read off the kernel. What the weights take
counts in neither figure, nor does it matter where they lie. Prints Markdown, with the ratio to the
median, and ends with an error where that is off by more than --most.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from statistics import median
from typing import Any

import torch
import yaml
from ways import ROOT, SHAPES, random_model, word_tokenizer

sys.path.insert(0, str(ROOT / "scripts"))

from refine_af.engines.generation import completions
from refine_af.engines.greedy import greedy
from refine_af.engines.replies import Group
from refine_af.engines.room import row_bytes
from refine_af.forecast.memory import OPTIMIZER, loss_bytes
from refine_af.forecast.passes import MARGIN
from refine_af.jobs.curves import Curves
from refine_af.models.live_bytes import blank_model, packed_peak, training_peak
from refine_af.models.lora import with_lora
from refine_af.ppo.packing import Tokens
from refine_af.ppo.policy import Policy
from refine_af.settings.compute import SftMachine
from refine_af.settings.lora import Lora
from refine_af.settings.sft import Sft
from refine_af.sft.processes import Processes
from refine_af.sft.rows import TrainingRow
from refine_af.sft.training import train

LORA = Lora(r=16, alpha=32, dropout=0.0, targets="all-linear")
CASES = {  # what is done, rows, tokens of each, tokens before them, whether layers are recomputed
    "fine-tuning": ("sft", 8, 256, 0, False),
    "fine-tuning, layers recomputed": ("sft", 8, 256, 0, True),
    "PPO, an update": ("ppo", 4, 128, 384, False),
    "PPO, layers recomputed": ("ppo", 4, 128, 384, True),
    "writing": ("write", 64, 384, 0, False),
}
QUICK = ("fine-tuning",)
# So that what is freed goes back to the system, and the most at once is what is held at once.
PLAIN = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "GLIBC_TUNABLES": ""}


def section(name: str) -> dict[str, Any]:
    """A section of the paper's config.yaml."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())[name]
    return found


def sft(model: Any, rows: int, tokens: int, _: int, recomputed: bool) -> None:
    """One update of the stage's own training."""
    ids = [index % 900 + 3 for index in range(tokens)]
    settings = Sft.model_validate(section("sft")).model_copy(
        update={"epochs": 1, "batch_size": rows, "gradient_accumulation_steps": 1}
    )
    compute = SftMachine.model_validate(section("compute")["sft"]).model_copy(
        update={
            "micro_batch": rows,
            "gradient_checkpointing": recomputed,
            "checkpoint_every": 10**6,
        }
    )
    made = [TrainingRow(ids, ids) for _ in range(rows)]
    tokenizer = word_tokenizer(["a few words of a text"], 1000)
    with tempfile.TemporaryDirectory() as place, redirect_stdout(StringIO()):
        train(
            model,
            tokenizer,
            made,
            settings,
            compute,
            Curves([], Path(place), "none"),
            Path(place),
            Processes(1, 0),
            rows,
            None,
        )


def ppo(model: Any, rows: int, tokens: int, before: int, recomputed: bool) -> None:
    """The gradient of a micro-batch behind a shared prefix, as the stage's learner takes it."""
    policy = Policy(model)
    if recomputed and not getattr(model, "recomputed_here", False):
        policy.recompute_layers()
        model.recomputed_here = True
    prefix = policy.read([5] * before)
    cut = prefix.cut()
    tail = tuple([7] * (tokens // 4))
    asked = [Tokens(tail, tuple([9] * (tokens - len(tail)))) for _ in range(rows)]
    found = policy(cut, asked, temperature=1.0, width=tokens)
    torch.autograd.backward(((found.log_probs + found.values) * found.mask).sum())
    prefix.pull(cut)


def write(model: Any, rows: int, tokens: int, _: int, __: bool) -> None:
    """Texts side by side, all as long as they may be."""
    tokenizer = word_tokenizer(["a few words of a text"], 1000)
    sampling = greedy(tokens, ()).model_copy(update={"temperature": 1.0})
    groups = [Group("", ["a few words"] * rows)]
    list(
        completions(
            model, tokenizer, groups, sampling=sampling, seeds=range(rows), end_of_text=False
        )
    )


DOING: dict[str, Callable[..., None]] = {"sft": sft, "ppo": ppo, "write": write}


def measured(shape: str, case: str) -> int:
    """Bytes that a case holds at most beside its model, in this process."""
    kind, rows, tokens, before, recomputed = CASES[case]
    model = random_model(shape)
    if kind != "write":
        model = with_lora(model, LORA, seed=0, section="lora")
    do = DOING[kind]
    do(model, 1, 16, min(before, 16), recomputed)
    model.zero_grad(set_to_none=True)
    gc.collect()
    held = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here on
    do(model, rows, tokens, before, recomputed)
    lines = Path("/proc/self/status").read_text().split("\n")
    (peak,) = (int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    return peak - held


def foretold(shape: str, case: str) -> int:
    """The same by the forecast."""
    kind, rows, tokens, before, recomputed = CASES[case]
    layers, width, inner, heads, vocabulary = SHAPES[shape]
    if kind == "write":
        return rows * row_bytes(layers, width, 4, tokens + 8 + MARGIN, vocabulary)
    config = {
        "model_type": "llama",
        "num_hidden_layers": layers,
        "hidden_size": width,
        "intermediate_size": inner,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "vocab_size": vocabulary,
    }
    if kind == "ppo":
        together = max(1, min(rows, before // tokens))  # rows of a pack
        return packed_peak(
            blank_model(config, torch.float32),
            LORA,
            before=before,
            packs=math.ceil(rows / together),
            length=together * (tokens - 1),
            predicted=rows * (tokens - tokens // 4),
            recomputed=recomputed,
        )[0]
    peak, trained = training_peak(
        blank_model(config, torch.float32),
        LORA,
        rows=rows,
        length=tokens,
        predicted=1,
        recomputed=recomputed,
    )
    return round(peak + OPTIMIZER * trained + loss_bytes(rows * tokens, vocabulary, gpu=False))


def measured_apart(shape: str, case: str, times: int) -> list[int]:
    """Bytes that each of so many processes held, the least first."""
    command = [sys.executable, __file__, "--shape", shape, "--case", case]
    found = []
    for _ in range(times):
        done = subprocess.run(
            command, env=os.environ | PLAIN, stdout=subprocess.PIPE, text=True, check=True
        )
        found.append(json.loads(done.stdout.split("\n")[-2]))
    return sorted(found)


def main() -> None:
    """Print what is foretold and measured of each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="20m")
    parser.add_argument("--most", type=float, default=0.15)
    parser.add_argument("--quick", action="store_true", help="fine-tuning alone")
    parser.add_argument("--times", type=int, default=3, help="processes a case")
    parser.add_argument("--case", choices=CASES, help="measure it in this process, as JSON")
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(measured(arguments.shape, arguments.case)))
        return
    print("| case | rows × tokens | foretold, MB | measured, MB | least to most | ratio |")
    print("|---|---|---|---|---|---|")
    far = []
    for case in QUICK if arguments.quick else CASES:
        said = foretold(arguments.shape, case)
        found = measured_apart(arguments.shape, case, arguments.times)
        middle = median(found)
        _, rows, tokens, before, _ = CASES[case]
        behind = f" behind {before}" if before else ""
        print(
            f"| {case} | {rows} × {tokens}{behind} | {said / 1e6:,.0f} | {middle / 1e6:,.0f} | "
            f"{found[0] / 1e6:,.0f} to {found[-1] / 1e6:,.0f} | {said / middle:.2f} |",
            flush=True,
        )
        if abs(said / middle - 1) > arguments.most:
            far.append(case)
    if far:
        sys.exit(f"error: off by more than {arguments.most:.0%}: {', '.join(far)}")


if __name__ == "__main__":
    main()
