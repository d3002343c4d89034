"""All task families of the demo's corpus, and which of them no training ever sees."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from refine_af.demo import words
from refine_af.demo.solvable import SOLVABLE, Family, Values, draw_event
from refine_af.metrics.solvers import comma

_GROUPS = {
    "animals": words.ANIMALS,
    "fruits": words.FRUITS,
    "colors": words.COLORS,
    "jobs": words.JOBS,
    "household things": words.THINGS,
}


def _continued(random: Random, _: Values) -> tuple[str, str]:
    kind = random.choice([words.ANIMALS, words.FRUITS, words.COLORS])
    first, second, third = random.sample(kind, 3)
    return comma([first, second]), third


def _odd_one(random: Random, _: Values) -> tuple[str, str]:
    kinds = [words.ANIMALS, words.FRUITS, words.COLORS, words.THINGS]
    common, other = random.sample(kinds, 2)
    items, odd = random.sample(common, 3), random.choice(other)
    items.insert(random.randint(0, 3), odd)
    return comma(items), odd


def _sentiment(random: Random, _: Values) -> tuple[str, str]:
    mood, adjectives = random.choice([("positive", words.PRAISE), ("negative", words.BLAME)])
    what, size = random.choice([*words.THINGS, *words.PLACES]), random.choice(words.SIZES)
    return f"The {what} was {size} and {random.choice(adjectives)}.", mood


def _passage(random: Random, _: Values) -> tuple[str, str]:
    event = draw_event(random)
    return f"{event.sentence} Who {event.past} the {event.thing}?", event.who


def _command(random: Random, _: Values) -> tuple[str, str]:
    verb, thing = random.choice(words.VERBS), random.choice(words.THINGS)
    return f"{verb.capitalize()} the {thing}.", f"Could you please {verb} the {thing}?"


def _swapped_name(random: Random, values: Values) -> tuple[str, str]:
    event = draw_event(random)
    return event.sentence, event.sentence.replace(event.who, values[0], 1)


def _swapped_place(random: Random, values: Values) -> tuple[str, str]:
    event = draw_event(random)
    stem = event.sentence.removesuffix(f"{event.place}.")
    return event.sentence, f"{stem}{values[0]}."


def _one_of(items: list[str]) -> Callable[[Random], Values]:
    return lambda random: (random.choice(items),)


def _each_of(*tables: list[str]) -> Callable[[Random], Values]:
    return lambda random: tuple(random.choice(table) for table in tables)


def _some(random: Random) -> Values:
    return words.COUNTS[random.randint(2, 4)], random.choice(list(_GROUPS))


def _named(random: Random, values: Values) -> str:
    return comma(random.sample(_GROUPS[values[1]], words.COUNTS.index(values[0])))


def _compared(_: Random, values: Values) -> str:
    first, second = values
    return (
        f"A {first} is used to {words.USES[first]}, but a {second} is used to {words.USES[second]}."
    )


def _next_day(_: Random, values: Values) -> str:
    return words.DAYS[(words.DAYS.index(values[0]) + 1) % 7]


def _reading(
    name: str,
    label: str,
    instance: Callable[[Random, Values], tuple[str, str]],
    values: Callable[[Random], Values] = lambda _: (),
) -> Family:
    return Family(name, label, values, instance)


def _writing(
    name: str, values: Callable[[Random], Values], answer: Callable[[Random, Values], str]
) -> Family:
    """A family whose instruction says everything: there is no input."""
    return Family(name, "", values, lambda random, named: ("", answer(random, named)))


def _unanswerable(name: str) -> Family:
    """A family that no text answers; it stands in lists of tasks alone, for a filter to refuse."""
    return Family(name, "", lambda _: (), lambda *_: ("", ""))


_OPEN = [
    _reading("continue", "Series", _continued),
    _reading("odd_out", "List", _odd_one),
    _reading("sentiment", "Review", _sentiment),
    _reading("reader", "Text", _passage),
    _reading("polite", "Command", _command),
    _reading("swap_name", "Sentence", _swapped_name, _one_of(words.NAMES)),
    _reading("swap_place", "Sentence", _swapped_place, _one_of(words.PLACES)),
    _writing("name_some", _some, _named),
    _writing(
        "capital",
        _one_of(list(words.CAPITALS)),
        lambda _, v: f"The capital of {v[0]} is {words.CAPITALS[v[0]]}.",
    ),
    _writing("use", _one_of(words.THINGS), lambda _, v: f"You use a {v[0]} to {words.USES[v[0]]}."),
    _writing(
        "advice",
        _one_of(words.TOPICS),
        lambda _, v: f"A good tip for {v[0]} is to {words.TIPS[v[0]]}.",
    ),
    _writing(
        "greet",
        _each_of(words.NAMES, words.DAYS),
        lambda _, v: f"Dear {v[0]}, I wish you a happy {v[1]}!",
    ),
    _writing(
        "sentence_with",
        _each_of(words.THINGS, words.PLACES),
        lambda random, v: f"{random.choice(words.NAMES)} found the {v[0]} in the {v[1]}.",
    ),
    _writing("day_after", _one_of(words.DAYS), _next_day),
    _writing(
        "ask_job",
        _each_of(words.JOBS, words.TOPICS),
        lambda _, v: f"How does {v[1]} help you as a {v[0]}?",
    ),
    _writing("compare", lambda random: tuple(random.sample(words.THINGS, 2)), _compared),
    _writing(
        "invite",
        _each_of(words.NAMES, words.PLACES, words.DAYS),
        lambda _, v: f"Dear {v[0]}, please come to the {v[1]} on {v[2]}.",
    ),
]

HELD_OUT = {
    "sort_down": "List Editing",
    "drop_first": "List Editing",
    "only_fruit": "List Editing",
    "minimum": "Item Selection",
    "last_item": "Item Selection",
    "smaller": "Item Selection",
    "color": "Information Extraction",
    "verb": "Information Extraction",
    "where": "Information Extraction",
    "no_place": "Sentence Rewriting",
    "exclaim": "Sentence Rewriting",
    "swap_name": "Sentence Rewriting",
}
"""The families kept for evaluation, with the category of each; a sibling of each is trained on."""

CLASSIFYING = {"kind", "parity", "sentiment"}
UNANSWERABLE = {name: _unanswerable(name) for name in ("picture", "file")}
FAMILIES = {family.name: family for family in [*SOLVABLE, *_OPEN]}
TRAINING = {name: family for name, family in FAMILIES.items() if name not in HELD_OUT}
