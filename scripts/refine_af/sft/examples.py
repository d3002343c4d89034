"""What supervised fine-tuning trains on: instances, written as prompt and completion.

Source: yizhongw/self-instruct@0b26ccaa, self_instruct/prepare_for_finetuning.py.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from refine_af.errors import InputError, shown
from refine_af.files.documents import SURROGATE
from refine_af.files.rows import each_once, read_records
from refine_af.prompts.templates import Prompt, prompt_of
from refine_af.randomness import derived_seed
from refine_af.records.instances import Instance
from refine_af.records.overlap import Overlap
from refine_af.settings.sft import Sft

NO_TEXT = re.compile("[\0\ud800-\udfff]")  # NUL, and half a character: no tokenizer reads it
INSTRUCTION_ID = re.compile(r"i([0-9]{1,18})")
LABEL = re.compile(r"(\w+):")


@dataclass(frozen=True)
class Encoding:
    """One way to write an instance down."""

    prompt: Prompt
    completion: Prompt


@dataclass(frozen=True)
class Encodings:
    """The ways to write instances with an input, and those without one."""

    with_input: tuple[Encoding, ...]
    without_input: tuple[Encoding, ...]


@dataclass(frozen=True)
class Example:
    """An instance as the text to continue and the text that continues it."""

    prompt: str
    completion: str
    has_input: bool
    instruction_id: str = field(compare=False)


def encodings_of(document: Mapping[str, Any], path: Path) -> Encodings:
    """The encodings that a file states. InputError names file, entry and value."""
    kinds = {"with_input": {"instruction", "input"}, "without_input": {"instruction"}}
    for key in document:
        if key not in kinds:
            raise InputError(f"{path}: unknown key {key!r}; known are {sorted(kinds)}")
    read = {
        kind: tuple(
            _encoding(entry, slots, f"{path}, {kind}[{index}]")
            for index, entry in enumerate(_entries(document, kind, path))
        )
        for kind, slots in kinds.items()
    }
    return Encodings(**read)


def within(
    instances: Iterable[Instance], among: Container[int], path: Path, before: int | None = None
) -> list[Instance]:
    """The instances of a file that belong to instructions `among` the pool's, by their numbers.

    Where `before` is the number of instances that the data set has before this file, those that
    are themselves `among` the data set's. InputError, with file and line, where an id comes twice
    or is none.
    """
    kept = []
    for line, instance in each_once(instances, path):
        index = INSTRUCTION_ID.fullmatch(instance.instruction_id)
        if index is None:
            raise InputError(
                f"{path}, line {line}: no instruction's id: {shown(instance.instruction_id)}"
            )
        if SURROGATE.search(instance.id):
            raise InputError(f"{path}, line {line}: id {shown(instance.id)} is no text")
        number = int(index[1]) if before is None else before + line - 1
        if number in among:
            kept.append(instance)
    return kept


def overlapping(files: Sequence[Path], instances: Sequence[Instance]) -> set[str]:
    """The ids of the instances that overlap with an evaluation set, as the files say.

    InputError where there is no file, or where they say nothing of one of the instances.
    """
    if not files:
        raise InputError("--overlap: names no file, which sft.remove_overlap: true needs")
    said = {row.id: row.overlaps for path in files for row in read_records(path, Overlap)}
    for instance in instances:
        if instance.id not in said:
            raise InputError(
                f"{', '.join(map(str, files))}: no line of instance {shown(instance.id)}"
            )
    return {name for name, overlaps in said.items() if overlaps}


def examples(
    instances: Iterable[Instance],
    encodings: Encodings,
    settings: Sft,
    *,
    without: Set[str] | None = None,
) -> tuple[list[Example], Counter[str]]:
    """The instances encoded, in order, and how many were left out, by reason.

    `without` holds the ids of instances that overlap with an evaluation set, None where all stay.

    What is drawn for an instance (its encoding, whether its label goes) depends on the seed and
    its id alone, so a smaller size trains on a part of what a larger one trains on.
    """
    found: dict[Example, None] = {}
    reasons = ("not text", "empty instruction", "empty output", "overlap", "duplicate")
    dropped = Counter({name: 0 for name in reasons if name != "overlap" or without is not None})
    for instance in instances:
        example = encoded(instance, encodings, settings)
        if fault := _fault(instance, without or set()):
            dropped[fault] += 1
        elif example in found:
            dropped["duplicate"] += 1
        else:
            found[example] = None
    return list(found), dropped


def _fault(instance: Instance, without: Set[str]) -> str | None:
    """Why an instance is not trained on, whatever the others are."""
    if NO_TEXT.search(instance.instruction + instance.input + instance.output):
        return "not text"
    if not instance.instruction.strip():
        return "empty instruction"
    if not instance.output.strip():
        return "empty output"
    return "overlap" if instance.id in without else None


def figures(
    trained: Sequence[Example], dropped: Mapping[str, int], *, seeds: bool = False
) -> dict[str, Any]:
    """What was trained on and what was left out, as counts of instances.

    Those of the seeds are counted apart too, where `seeds` were to be trained on.
    """
    with_input = sum(example.has_input for example in trained)
    own = sum(INSTRUCTION_ID.fullmatch(example.instruction_id) is None for example in trained)
    return {
        "instances": len(trained),
        **({"of_seeds": own} if seeds else {}),
        "of_instructions": len({example.instruction_id for example in trained}),
        "with_input": with_input,
        "without_input": len(trained) - with_input,
        "dropped": dict(dropped),
    }


def encoded(instance: Instance, encodings: Encodings, settings: Sft) -> Example:
    """One instance in the encoding that is drawn for it."""
    text = instance.input
    if _share(settings.seed, "label", instance.id) < settings.strip_label_share:
        text = without_label(text)
    values = {"instruction": instance.instruction.strip(), "input": text.strip()}
    kinds = encodings.with_input if values["input"] else encodings.without_input
    drawn = kinds[derived_seed(settings.seed, "encoding", instance.id) % len(kinds)]
    return Example(
        prompt=drawn.prompt.fill(**values),
        completion=drawn.completion.fill(output=instance.output.strip()),
        has_input=bool(values["input"]),
        instruction_id=instance.instruction_id,
    )


def without_label(text: str) -> str:
    """An input without all up to its first colon, if it has one `Label:`, however often.

    Blank lines are closed up too.
    """
    if len(set(LABEL.findall(text))) == 1:
        text = text.split(":", 1)[1]
    return text.strip().replace("\n\n", "\n")


def _share(seed: int, *purpose: str) -> float:
    """A number from 0 to 1 for a purpose: a derived seed has 63 bits."""
    return derived_seed(seed, *purpose) / 2**63


def _entries(document: Mapping[str, Any], kind: str, path: Path) -> Sequence[object]:
    entries = document.get(kind)
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path}: {kind!r} is no list of encodings: {shown(entries)}")
    return entries


def _encoding(entry: object, slots: set[str], place: str) -> Encoding:
    if not isinstance(entry, dict) or set(entry) != {"prompt", "completion"}:
        raise InputError(f"{place}: needs 'prompt' and 'completion' alone: {shown(entry)}")
    for key, text in entry.items():
        if not isinstance(text, str):
            raise InputError(f"{place}: {key!r} is no text: {shown(text)}")
    return Encoding(
        prompt=prompt_of(entry["prompt"], slots, f"{place}, prompt"),
        completion=prompt_of(entry["completion"], {"output"}, f"{place}, completion"),
    )
