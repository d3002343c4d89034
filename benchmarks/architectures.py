"""What each stage makes of each architecture: tiny random models, through our code and plainly.

Of every architecture a model of two or more small layers is drawn. Greedy batches with a shared
prefix must equal `model.generate` of each row alone, PPO's log-probabilities those of whole rows,
gradients of recomputed layers those of kept ones; an update of fine-tuning must run, a merged
model must be the tuned one, and 4 bits must load. Prints the table of docs/models.md.
"""

from __future__ import annotations

import argparse
import gc
import re
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path

import torch
from small_models import MODELS, make_model

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from fine_tuning import COMPUTE, settings
from policies import PREFIX, ROWS, full_rows, gradients, moved_policy
from refine_af.engines.generation import generate
from refine_af.engines.self_check import check_batching
from refine_af.errors import InputError
from refine_af.jobs.curves import Curves
from refine_af.models.backbones import load_backbone, load_tokenizer
from refine_af.models.encoding import encode
from refine_af.models.quantization import share_in_four_bits
from refine_af.models.readiness import check_fine_tuning, check_generation, check_ppo
from refine_af.ppo.policy import Policy
from refine_af.settings.lora import Lora
from refine_af.settings.sampling import Sampling
from refine_af.sft.output import save_tuned
from refine_af.sft.processes import Processes
from refine_af.sft.rows import row
from refine_af.sft.training import tuned
from tiny import make_tokenizer

GREEDY = Sampling(
    temperature=0.0, top_p=1.0, min_p=0.0, presence_penalty=0.0, max_new_tokens=16, stop=()
)
HEAD = "Task 1: Sort the list of numbers.\nTask 2: Count the words of the line.\n"
TAILS = ["Task 3:", "Example 1\nInput: 3, 1, 2\n", "Output: Yes", "No, the list.", "A garden"]
LORA = Lora(r=4, alpha=8, dropout=0.0, targets="all-linear")
CLOSE = 2e-5  # of log-probabilities in float32: rounding, and no more


@dataclass(frozen=True)
class Place:
    """A model of an architecture, where it stands, and a folder of its own."""

    kind: str
    model: Path
    folder: Path


def generation(place: Place) -> str:
    """Greedy replies side by side are those of `model.generate`, row by row."""
    check_generation(place.model)
    model = load_backbone(place.model, quantization="none")
    tokenizer = load_tokenizer(place.model)
    check_batching(model, tokenizer)
    ours = generate(
        model, tokenizer, prefix=HEAD, tails=TAILS, sampling=GREEDY, seeds=range(len(TAILS))
    )
    differ = 0
    for tail, found in zip(TAILS, ours, strict=True):
        prompt = encode(tokenizer, HEAD, start=True) + encode(tokenizer, tail, start=False)
        ids = torch.tensor([prompt])
        mask = torch.ones_like(ids)
        with torch.inference_mode():
            whole = model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=GREEDY.max_new_tokens,
                do_sample=False,
                pad_token_id=0,
            )
        differ += whole[0, len(prompt) :].tolist() != list(found.tokens)
    return f"{differ} of {len(TAILS)} replies differ" if differ else "works"


def log_probabilities(place: Place) -> str:
    """PPO's log-probabilities and values are those of whole rows through the plain model."""
    policy = policy_of(place)
    with torch.no_grad():
        found = policy(policy.read(PREFIX), ROWS, temperature=0.7, width=4)
        far = 0.0
        for index, (log_probs, _) in enumerate(full_rows(policy, PREFIX, ROWS, 0.7)):
            own = found.log_probs[index, : len(log_probs)]
            far = max([far, *(own - log_probs).abs().tolist()])
    return "works" if far < CLOSE else f"log-probabilities differ by {far:.1g}"


def checkpointing(place: Place) -> str:
    """Values and gradients of recomputed layers are those of kept ones."""
    policy = policy_of(place)
    kept = _passed(policy)
    policy.recompute_layers()
    far = max(
        float((ours - theirs).abs().max() / theirs.abs().max())
        for ours, theirs in zip(_passed(policy), kept, strict=True)
    )
    return "works" if far < CLOSE else f"gradients differ by {far:.1g}"


def policy_of(place: Place) -> Policy:
    """A policy as the stage makes it, which has moved."""
    check_ppo(place.model, LORA)
    policy = moved_policy(place.model)
    check_batching(policy.model, load_tokenizer(place.model))
    return policy


def _passed(policy: Policy) -> tuple[torch.Tensor, torch.Tensor]:
    found = policy(policy.read(PREFIX), ROWS, temperature=0.7, width=4)
    (found.log_probs.sum() + 0.3 * found.values.sum()).backward()
    return found.log_probs.detach(), gradients(policy)


def fine_tuning(place: Place) -> str:
    """Updates run, and what they leave can be merged, saved and loaded."""
    check_fine_tuning(place.model, LORA)
    tokenizer = load_tokenizer(place.model)
    rows = [row(HEAD, f" {tail}", tokenizer) for tail in TAILS]
    asked = settings(epochs=1, merge=True, max_length=256)
    kept = place.folder / "kept"
    kept.mkdir()
    shown = partial(Curves, [], kept, "sft")
    model, _ = tuned(place.model, tokenizer, rows, asked, COMPUTE, shown, kept, Processes(1, 0))
    save_tuned(model, place.model, rows[0].end, asked, place.folder)
    return "works"


def merging(place: Place) -> str:
    """The merged model says what the backbone with its adapter says."""
    if not (place.folder / "merged").is_dir():
        return "–"
    ids = torch.tensor([PREFIX])
    with torch.no_grad():
        apart, merged = (
            load_backbone(folder, quantization="none", adapter=adapter)(input_ids=ids).logits
            for folder, adapter in (
                (place.model, place.folder),
                (place.folder / "merged", None),
            )
        )
    far = float((apart - merged).abs().max() / apart.abs().max())
    return "works" if far < 1e-4 else f"logits differ by {far:.1g}"


def four_bits(place: Place) -> str:
    """The share of the weights that is in 4 bits."""
    check_fine_tuning(place.model, None)
    model = load_backbone(place.model, quantization="nf4")
    return f"{share_in_four_bits(model):.0%}"


STAGES: dict[str, Callable[[Place], str]] = {
    "generation": generation,
    "PPO": log_probabilities,
    "PPO, layers recomputed": checkpointing,
    "fine-tuning": fine_tuning,
    "merging": merging,
    "weights in 4 bits": four_bits,
}


def tried(stage: Callable[[Place], str], place: Place, faults: list[str]) -> str:
    """What a stage gives, or the gist of its refusal; anything else is a fault."""
    try:
        with redirect_stdout(StringIO()):
            found = stage(place)
    except InputError as error:
        return f"refused: {gist(str(error), place)}"
    except Exception:
        faults.append(f"{place.kind}, {stage.__name__}:\n{traceback.format_exc(limit=-4)}")
        return "fault"
    if found not in ("works", "–") and not found.endswith("%"):
        faults.append(f"{place.kind}, {stage.__name__}: {found}")
    return found


def gist(message: str, place: Place) -> str:
    """A refusal without the model's place and the architecture's name, in one line."""
    said = " ".join(message.replace(f"{place.model}: ", "").split())
    return re.sub(r"the architecture '\w+'|\b\w+ForCausalLM\b", "the architecture", said)


Row = tuple[str, list[str]]


def rows_of(kinds: Sequence[str], folder: Path) -> tuple[list[Row], list[str]]:
    """Each architecture with what its stages give, and what was no clean refusal."""
    tokenizer = folder / "tokenizer"
    make_tokenizer(tokenizer)
    rows: list[Row] = []
    faults: list[str] = []
    for kind in kinds:
        place = Place(kind, folder / kind, folder / f"{kind}-tuned")
        place.folder.mkdir()
        make_model(kind, place.model, tokenizer)
        rows.append((kind, [tried(stage, place, faults) for stage in STAGES.values()]))
        print(*rows[-1], file=sys.stderr, flush=True)
        gc.collect()
    return rows, faults


def table(rows: Sequence[Row]) -> list[str]:
    """Lines of Markdown; a refusal stands below the table, with its number."""
    lines = [f"| architecture | {' | '.join(STAGES)} |", "|---" * (len(STAGES) + 1) + "|"]
    said: dict[str, int] = {}
    for kind, found in rows:
        cells = []
        for cell in found:
            known, _, reason = cell.partition(": ")
            number = said.setdefault(reason, len(said) + 1) if reason else 0
            cells.append(f"{known} ({number})" if reason else cell)
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return [*lines, "", *(f"{number}. {reason}" for reason, number in said.items())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", help="architectures (all that are known)")
    kinds = parser.parse_args().kinds or list(MODELS)
    with tempfile.TemporaryDirectory() as folder:
        rows, faults = rows_of(kinds, Path(folder))
    print("\n".join(table(rows)))
    if faults:
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()
