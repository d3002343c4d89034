"""The rows of the release: an instance each, with all that the run knows of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat, zip_longest
from typing import Any

from refine_af.errors import InputError, shown
from refine_af.exports.formats import NUMBER, TEXTS, Kind, whole_text
from refine_af.records.diversity import VerbNoun
from refine_af.records.human_tasks import Seed
from refine_af.records.instances import Instance
from refine_af.records.instructions import Instruction
from refine_af.records.neighbours import Neighbours
from refine_af.records.overlap import Overlap
from refine_af.words import words_of

JOINED = "\n\n"  # instruction and input in the user's turn
COUNT = "int64"
TURNS: Kind = [{"role": "string", "content": "string"}]


@dataclass(frozen=True)
class Pool:
    """A model's instructions by id, with the texts of all ids there and of the seeds.

    `neighbours` and `verb_nouns` are by the same ids; the latter is empty where nothing was parsed.
    """

    instructions: dict[str, Instruction]
    texts: dict[str, str]
    neighbours: dict[str, Neighbours]
    verb_nouns: dict[str, VerbNoun]


def pool_of(
    seeds: Sequence[Seed],
    instructions: Sequence[Instruction],
    neighbours: Sequence[Neighbours],
    verb_nouns: Sequence[VerbNoun] | None,
) -> Pool:
    """The pool of these rows, which are all of the instructions, in order."""
    texts = {row.id: row.instruction for row in seeds}
    texts |= {row.id: row.instruction for row in instructions}
    return Pool(
        {row.id: row for row in instructions},
        texts,
        {row.id: row for row in neighbours},
        {row.id: row for row in verb_nouns or ()},
    )


def check_order(source: str, rows: Sequence[Any], owners: Sequence[Any]) -> None:
    """InputError naming the `source` unless its rows have the ids of their owners, in order."""
    for place, (row, owner) in enumerate(zip_longest(rows, owners), 1):
        if row is None or owner is None or row.id != owner.id:
            raise InputError(
                f"{source}, row {place}: {shown(row and row.id)} where "
                f"{shown(owner and owner.id)} belongs"
            )


def kinds_of(components: Sequence[str]) -> dict[str, Kind]:
    """Each column of the release with its kind, which is the same for every model and method."""
    kinds: dict[str, Kind] = dict.fromkeys(("id", "instruction_id", "model", "method"), "string")
    kinds |= {**dict.fromkeys(TEXTS, "string"), "messages": TURNS, "reward": NUMBER}
    kinds |= {f"score_{name}": NUMBER for name in components}
    kinds |= {"nearest_id": "string", "nearest_instruction": "string", "nearest_rouge_l": NUMBER}
    kinds |= {"nearest_seed_id": "string", "nearest_seed": "string", "seed_rouge_l": NUMBER}
    kinds |= {"nearest_reference": "string", "reference_rouge_l": NUMBER}
    kinds |= {f"{name}_{unit}": COUNT for unit in ("words", "tokens") for name in TEXTS}
    kinds |= {"overlaps": "bool", "overlap_ngrams": COUNT}
    kinds |= {"overlap_instruction_rouge_l": NUMBER, "overlap_input_rouge_l": NUMBER}
    return kinds | dict.fromkeys(
        ("verb", "noun", "language", "template", "adapter_sha256"), "string"
    )


def rows_of(
    model: str,
    instances: Sequence[Instance],
    overlaps: Sequence[Overlap] | None,
    pool: Pool,
    tokens_of: Callable[[str], int],
    language: str | None,
) -> Iterator[dict[str, Any]]:
    """The rows of one model and method, in the order of its instances, by column.

    The instances are whole characters; so is what is taken from elsewhere. `tokens_of` counts the
    tokens of a text; `overlaps` is None where nothing was compared. InputError where an instance's
    instruction is not in the pool.
    """
    lengths: dict[str, tuple[int, int]] = {}
    for instance, overlap in zip(instances, overlaps or repeat(None, len(instances)), strict=True):
        if (known := pool.instructions.get(instance.instruction_id)) is None:
            raise InputError(
                f"{model}, {instance.method}: {instance.id} is of instruction "
                f"{shown(instance.instruction_id)}, which the pool does not hold"
            )
        if (asked := instance.instruction) not in lengths:  # several instances share one
            lengths[asked] = len(words_of(asked)), tokens_of(asked)
        texts = [instance.input, instance.output]
        words = [lengths[asked][0], *(len(words_of(text)) for text in texts)]
        tokens = [lengths[asked][1], *map(tokens_of, texts)]
        yield (
            {"id": instance.id, "instruction_id": instance.instruction_id, "model": model}
            | {"method": instance.method, **{name: getattr(instance, name) for name in TEXTS}}
            | {"messages": messages_of(instance), "reward": instance.reward}
            | {f"score_{name}": score for name, score in instance.components.items()}
            | _nearest(known, pool)
            | {f"{name}_words": count for name, count in zip(TEXTS, words, strict=True)}
            | {f"{name}_tokens": count for name, count in zip(TEXTS, tokens, strict=True)}
            | _overlap(overlap)
            | _verb_noun(pool.verb_nouns.get(known.id))
            | {"language": language, "template": instance.template}
            | {"adapter_sha256": instance.adapter_sha256}
        )


def messages_of(instance: Instance) -> list[dict[str, str]]:
    """The instance as a chat: the user's turn, which holds the input too, and the assistant's."""
    asked = [text for text in (instance.instruction, instance.input) if text]
    return [
        {"role": "user", "content": JOINED.join(asked)},
        {"role": "assistant", "content": instance.output},
    ]


def _nearest(known: Instruction, pool: Pool) -> dict[str, Any]:
    """What the instruction was nearest to when it entered the pool; a text unknown is None."""
    further = pool.neighbours[known.id]
    return {
        "nearest_id": known.nearest,
        "nearest_instruction": _whole(pool.texts.get(known.nearest)),
        "nearest_rouge_l": known.rouge_l,
        "nearest_seed_id": known.nearest_seed,
        "nearest_seed": _whole(pool.texts.get(known.nearest_seed)),
        "seed_rouge_l": known.seed_rouge_l,
        "nearest_reference": _whole(further.nearest_reference),
        "reference_rouge_l": further.reference_rouge_l,
    }


def _overlap(row: Overlap | None) -> dict[str, Any]:
    return {
        "overlaps": row and row.overlaps,
        "overlap_ngrams": row and row.ngrams,
        "overlap_instruction_rouge_l": row and row.instruction_rouge_l,
        "overlap_input_rouge_l": row and row.input_rouge_l,
    }


def _verb_noun(row: VerbNoun | None) -> dict[str, str | None]:
    return {"verb": _whole(row.verb) if row else None, "noun": _whole(row.noun) if row else None}


def _whole(text: str | None) -> str | None:
    return None if text is None else whole_text(text)
