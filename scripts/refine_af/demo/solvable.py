"""Task families whose true output follows from the input, with the solver of each."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from refine_af.demo import words
from refine_af.demo.phrasings import PHRASINGS
from refine_af.metrics.solvers import SOLVERS, comma, of_items, of_pair

Values = tuple[str, ...]
"""What stands for {0}, {1} … in a phrasing: the part of a task that is in its instruction."""


@dataclass(frozen=True)
class Family:
    """A kind of task.

    `values` draws what the instruction names; `instance` draws an input and its right output.
    `solve`, where there is one, gives the right output of any input of the family's form, and
    None for any other text. A family without a label reads no input.
    """

    name: str
    label: str
    values: Callable[[Random], Values]
    instance: Callable[[Random, Values], tuple[str, str]]
    solve: Callable[[str], str | None] | None = None

    @property
    def phrasing(self) -> str:
        """The grammar of its instructions."""
        return PHRASINGS[self.name]


@dataclass(frozen=True)
class Event:
    """What a sentence of the corpus tells."""

    who: str
    verb: str
    color: str
    thing: str
    place: str

    @property
    def past(self) -> str:
        """The verb in the past tense."""
        return words.PAST[self.verb]

    @property
    def sentence(self) -> str:
        """The event in a sentence of the corpus."""
        return f"{self.who} {self.past} the {self.color} {self.thing} in the {self.place}."


_SENTENCE = re.compile(r"(\w+) (\w+) the (\w+) (\w+) in the (\w+)\.")
_PRESENT = {past: verb for verb, past in words.PAST.items()}


def draw_event(random: Random) -> Event:
    """A random event."""
    who, verb = random.choice(words.NAMES), random.choice(words.VERBS)
    color, thing = random.choice(words.COLORS), random.choice(words.THINGS)
    return Event(who, verb, color, thing, random.choice(words.PLACES))


def draw_sentence(random: Random) -> str:
    """A sentence that tells a random event."""
    return draw_event(random).sentence


def draw_words(random: Random) -> str:
    """Three to five different words as a list."""
    return comma(random.sample(words.WORDS, random.randint(3, 5)))


def draw_numbers(random: Random) -> str:
    """Three to five different numbers, 1 to 99, as a list."""
    return comma(random.sample(range(1, 100), random.randint(3, 5)))


def _read_event(text: str) -> Event | None:
    found = _SENTENCE.fullmatch(text)
    if found is None or found[2] not in _PRESENT:
        return None
    return Event(found[1], _PRESENT[found[2]], found[3], found[4], found[5])


def _solvable(
    name: str, label: str, inputs: Callable[[Random], str], solve: Callable[[str], str | None]
) -> Family:
    """A family whose output follows from its input alone."""

    def instance(random: Random, _: Values) -> tuple[str, str]:
        text = inputs(random)
        output = solve(text)
        assert output is not None, f"{name} draws what it cannot solve: {text}"
        return text, output

    return Family(name, label, lambda _: (), instance, solve)


def _of_numbers(name: str) -> Family:
    return _solvable(name, "List", draw_numbers, SOLVERS[name])


def _of_words(name: str, answer: Callable[[list[str]], object] | None = None) -> Family:
    return _solvable(name, "List", draw_words, of_items(answer) if answer else SOLVERS[name])


def _of_pair(name: str, answer: Callable[[int, int], int], largest: int) -> Family:
    def inputs(random: Random) -> str:
        return " and ".join(map(str, random.sample(range(1, largest + 1), 2)))

    return _solvable(name, "Numbers", inputs, of_pair(answer))


def _of_number(name: str, answer: Callable[[int], str | None], most: int) -> Family:
    def solve(text: str) -> str | None:
        return answer(int(text)) if re.fullmatch(r"\d{1,9}", text, re.ASCII) else None

    return _solvable(name, "Number", lambda random: str(random.randint(1, most)), solve)


def _of_entries(name: str, label: str, answers: dict[str, str]) -> Family:
    return _solvable(name, label, lambda random: random.choice(list(answers)), answers.get)


def _of_sentence(name: str, answer: Callable[[Event], str]) -> Family:
    def solve(text: str) -> str | None:
        event = _read_event(text)
        return answer(event) if event else None

    return _solvable(name, "Sentence", draw_sentence, solve)


def _count(items: list[str]) -> str:
    return words.COUNTS[len(items)] if len(items) < len(words.COUNTS) else str(len(items))


def _only(kind: str) -> Callable[[list[str]], str]:
    return lambda items: comma([x for x in items if words.KINDS.get(x) == kind]) or "none"


def _spelled(number: int) -> str | None:
    return words.COUNTS[number] if number < len(words.COUNTS) else None


def _action(event: Event) -> str:
    return f"{event.verb} the {event.color} {event.thing} in the {event.place}"


SOLVABLE = [
    _of_numbers("sort_up"),
    _of_numbers("sort_down"),
    _of_numbers("maximum"),
    _of_numbers("minimum"),
    _of_words("first_item"),
    _of_words("last_item"),
    _of_words("reverse"),
    _of_words("count_items", _count),
    _of_words("join_and", " and ".join),
    _of_words("drop_first"),
    _of_words("bullet", lambda x: " ".join(f"- {word}" for word in x)),
    _of_words("only_animals", _only("animal")),
    _of_words("only_fruit", _only("fruit")),
    _of_entries("opposite", "Word", words.OPPOSITES),
    _of_entries("plural", "Word", words.PLURALS),
    _of_entries("past_tense", "Verb", words.PAST),
    _of_entries("kind", "Word", words.KINDS),
    _of_entries("upper", "Word", {word: word.upper() for word in words.ANIMALS}),
    _of_number("spell", _spelled, most=12),
    _of_number("parity", lambda x: "odd" if x % 2 else "even", most=99),
    _of_number("next_number", lambda x: str(x + 1), most=98),
    _of_pair("larger", max, largest=99),
    _of_pair("smaller", min, largest=99),
    _of_pair("add", lambda x, y: x + y, largest=9),
    _of_sentence("who", lambda e: e.who),
    _of_sentence("place", lambda e: e.place),
    _of_sentence("color", lambda e: e.color),
    _of_sentence("object", lambda e: e.thing),
    _of_sentence("verb", lambda e: e.past),
    _of_sentence("first_word", lambda e: e.who),
    _of_sentence("where", lambda e: f"In the {e.place}."),
    _of_sentence("future", lambda e: f"{e.who} will {_action(e)}."),
    _of_sentence("negate", lambda e: f"{e.who} did not {_action(e)}."),
    _of_sentence("question", lambda e: f"Did {e.who} {_action(e)}?"),
    _of_sentence("no_color", lambda e: e.sentence.replace(f" {e.color} ", " ", 1)),
    _of_sentence("no_place", lambda e: f"{e.who} {e.past} the {e.color} {e.thing}."),
    _of_sentence("title", lambda e: f"The {e.color.capitalize()} {e.thing.capitalize()}"),
    _of_sentence(
        "passive",
        lambda e: (
            f"The {e.color} {e.thing} was {words.PARTICIPLES[e.verb]} by {e.who} in the {e.place}."
        ),
    ),
    _of_sentence("exclaim", lambda e: f"Wow, {e.sentence[:-1]}!"),
    _of_sentence("quote", lambda e: f"They say that {e.sentence}"),
]
