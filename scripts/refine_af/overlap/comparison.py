"""What training data shares with the texts that models are evaluated on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from refine_af.metrics.novelty import NoveltyPool
from refine_af.records.evaluation import EvaluationInstance
from refine_af.records.human_tasks import UserInstruction
from refine_af.records.instances import Instance
from refine_af.records.overlap import Overlap
from refine_af.settings.overlap import OverlapBounds
from refine_af.words import unicode_tokens


@dataclass(frozen=True)
class Evaluated:
    """What a prompt of an evaluation is made from: an instruction or a definition, and an input."""

    id: str
    instruction: str
    input: str


def of_superni(instances: Iterable[EvaluationInstance]) -> list[Evaluated]:
    """The test instances of Super-NI, each with the definition of its task."""
    return [Evaluated(row.id, row.definition, row.input) for row in instances]


def of_users(instructions: Iterable[UserInstruction]) -> list[Evaluated]:
    """The user-oriented instructions, each with its input."""
    return [Evaluated(row.id, row.instruction, row.input) for row in instructions]


def overlaps(
    instances: Sequence[Instance], evaluated: Sequence[Evaluated], bounds: OverlapBounds
) -> Iterator[Overlap]:
    """What each instance shares with the evaluation, in their order.

    Words are `unicode_tokens`, which of ASCII text are rouge_score's without stemmer. An instance
    overlaps where it shares an n-gram, or where its instruction or input has a ROUGE-L F1 of at
    least the bound with one of the evaluation's. ROUGE-L compares no text of fewer words than
    `bounds.min_words`, on either side.
    """
    shared = shared_ngrams(
        [(row.instruction, row.input) for row in instances],
        _holders((text, row.id) for row in evaluated for text in (row.instruction, row.input)),
        bounds.ngram,
    )
    instructions = _Texts(((row.instruction, row.id) for row in evaluated), bounds)
    inputs = _Texts(((row.input, row.id) for row in evaluated), bounds)
    for instance, (ngrams, holder) in zip(instances, shared, strict=True):
        instruction, input_ = (
            instructions.nearest(instance.instruction),
            inputs.nearest(instance.input),
        )
        yield Overlap(
            id=instance.id,
            ngrams=ngrams,
            ngram_source=holder,
            instruction_rouge_l=round(instruction.rouge_l, 6),
            instruction_source=instruction.source,
            input_rouge_l=round(input_.rouge_l, 6),
            input_source=input_.source,
            overlaps=bool(ngrams) or instruction.reaches or input_.reaches,
        )


def shared_ngrams(
    texts: Sequence[Sequence[str]], holders: Mapping[str, str], size: int
) -> list[tuple[int, str | None]]:
    """How many different n-grams of each entry of `texts` stand in one of `holders`, and the id
    of the text that holds most of them, the first of equals.

    `holders` gives the id of every text of the evaluation. The n-grams of `texts` are kept and
    those of the evaluation pass by, one text at a time: all at once would fill the memory.
    """
    places: dict[tuple[str, ...], list[int]] = {}
    for place, parts in enumerate(texts):
        for ngram in set().union(*(_ngrams(part, size) for part in parts)):
            places.setdefault(ngram, []).append(place)
    found: list[set[tuple[str, ...]]] = [set() for _ in texts]
    most: list[tuple[int, str | None]] = [(0, None)] * len(texts)
    for text, identity in holders.items():
        held = [ngram for ngram in _ngrams(text, size) if ngram in places]
        for place, count in Counter(place for ngram in held for place in places[ngram]).items():
            if count > most[place][0]:
                most[place] = (count, identity)
        for ngram in held:
            for place in places[ngram]:
                found[place].add(ngram)
    return [(len(ngrams), holder) for ngrams, (_, holder) in zip(found, most, strict=True)]


@dataclass(frozen=True)
class _Nearest:
    """The highest ROUGE-L F1 with a text, whose it is, and whether it reaches the bound."""

    rouge_l: float
    source: str | None
    reaches: bool


class _Texts:
    """Texts of the evaluation that are long enough, each once, with the id that has it first."""

    def __init__(self, texts: Iterable[tuple[str, str]], bounds: OverlapBounds) -> None:
        holders = _holders((text, own) for text, own in texts if _compared(text, bounds))
        self._pool = NoveltyPool(holders, threshold=bounds.rouge_l, tokens="unicode")
        self._ids = list(holders.values())
        self._bounds = bounds

    def nearest(self, text: str) -> _Nearest:
        if not _compared(text, self._bounds):
            return _Nearest(0.0, None, False)
        verdict = self._pool.nearest(text)
        shares = verdict.nearest is not None and verdict.rouge_l > 0
        source = self._ids[verdict.nearest] if shares and verdict.nearest is not None else None
        return _Nearest(verdict.rouge_l, source, verdict.reason == "similar")


def _compared(text: str, bounds: OverlapBounds) -> bool:
    """Whether a text is long enough for ROUGE-L to say something of it."""
    return len(unicode_tokens(text)) >= bounds.min_words


def _holders(texts: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Each text once, with the id that comes with it first."""
    found: dict[str, str] = {}
    for text, identity in texts:
        found.setdefault(text, identity)
    return found


def _ngrams(text: str, size: int) -> set[tuple[str, ...]]:
    tokens = unicode_tokens(text)
    if size > len(tokens):
        return set()
    return set(zip(*(tokens[start:] for start in range(size)), strict=False))
