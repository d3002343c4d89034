"""The pairs of input and output in a reply to the instance prompt.

Source: yizhongw/self-instruct@0b26ccaa, self_instruct/prepare_for_finetuning.py, its branch for
tasks that generate text.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from refine_af.prompts.markdown import plain_labels

# `\s*(?:\d+\s*)?` for the source's `\s*\d*\s*`: the same strings, in linear time.
OUTPUT = re.compile(r"Output\s*(?:\d+\s*)?:")
INPUT = re.compile(r"Input\s*(?:\d+\s*)?:")
COLONS = (":", "：")  # the second as Chinese and Japanese write it
EXAMPLE = re.compile(r"Example\s?\d*\.?")

REASONS = (
    "truncated",
    "input equals output",
    "empty output",
    "ends with colon",
    "contradictory",
    "duplicate",
)


@dataclass(frozen=True)
class Pair:
    """An instance of an instruction; `input` is empty where the instruction needs none."""

    input: str
    output: str


def parse_completion(text: str, *, truncated: bool = False) -> list[Pair]:
    """The pairs in a reply, valid or not; none where it names neither an example nor an output.

    An example without "Output:" is all output. Of a `truncated` reply, which the length limit
    ended, the last pair is left out. Markdown around labels does not count. Never raises, whatever
    the text.
    """
    text = plain_labels(text)
    if EXAMPLE.search(text):
        pairs = [_pair(part) for part in EXAMPLE.split(text) if part.strip()]
    elif OUTPUT.search(text):
        pairs = [_pair(text)]
    else:
        return []
    return pairs[:-1] if truncated else pairs


class Parse(Protocol):
    """What reads the pairs in a reply, as `parse_completion` does."""

    def __call__(self, text: str, *, truncated: bool = False) -> list[Pair]: ...


def judged(
    text: str, *, truncated: bool, parse: Parse = parse_completion
) -> list[tuple[Pair, str | None]]:
    """Every pair in a reply with the reason, one of `REASONS`, why it is no instance, or None."""
    pairs = parse(text)
    whole = parse(text, truncated=truncated)
    reasons = [*refusals(whole), *["truncated"] * (len(pairs) - len(whole))]
    return list(zip(pairs, reasons, strict=True))


def first_kept(text: str, *, truncated: bool) -> Pair | None:
    """The first pair in a reply that nothing is held against; None where there is none."""
    return next((pair for pair, why in judged(text, truncated=truncated) if why is None), None)


def refusals(pairs: Sequence[Pair]) -> list[str | None]:
    """For each pair of one reply why it is refused, or None.

    Where two valid pairs give one input different outputs, all are refused.
    """
    reasons = [refusal(pair) for pair in pairs]
    outputs = defaultdict(set)
    for pair, reason in zip(pairs, reasons, strict=True):
        if reason is None and pair.input:
            outputs[pair.input].add(pair.output)
    if any(len(different) > 1 for different in outputs.values()):
        return [reason or "contradictory" for reason in reasons]
    seen: set[Pair] = set()
    for index, pair in enumerate(pairs):
        if reasons[index] is None and pair in seen:
            reasons[index] = "duplicate"
        seen.add(pair)
    return reasons


def refusal(pair: Pair) -> str | None:
    """Why a pair by itself is no instance, or None; what ends in a colon is unfinished."""
    if pair.input == pair.output:
        return "input equals output"
    if not pair.output:
        return "empty output"
    if pair.input.endswith(COLONS) or pair.output.endswith(COLONS):
        return "ends with colon"
    return None


def _pair(text: str) -> Pair:
    parts = OUTPUT.split(text, maxsplit=2)
    given, answer = (parts[0], parts[1]) if len(parts) > 1 else ("", parts[0])
    given = INPUT.sub("", given.strip(), count=1) if INPUT.match(given.strip()) else given
    # A second input after the output begins another pair, which is dropped.
    return Pair(given.strip(), INPUT.split(answer, maxsplit=1)[0].strip())
