"""The demo's corpus: its grammar, its solvers and its spoilt examples."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_af.demo.corpus import draw_example, draw_task, examples_document, list_document, spoil
from refine_af.demo.families import FAMILIES, HELD_OUT, TRAINING, UNANSWERABLE
from refine_af.prompts.task_lists import refusal
from refine_af.settings.instructions import InstructionFilter
from tiny import demo_config

CONFIG = demo_config()


def test_the_grammar_has_many_instructions() -> None:
    random = Random(0)
    assert len({draw_task(random).instruction for _ in range(10_000)}) > 8_000


def test_every_held_out_family_reads_an_input_and_has_a_category_of_three() -> None:
    assert set(Counter(HELD_OUT.values()).values()) == {3} and len(HELD_OUT) == 12
    assert all(FAMILIES[name].label for name in HELD_OUT)
    assert not HELD_OUT.keys() & TRAINING.keys()


def test_held_out_tasks_never_stand_in_a_training_document() -> None:
    phrases = (
        "largest to smallest", "falling order", "go down", "smallest value", "lowest", "final",
        "lesser", "just the fruits", "only the fruits", "the shade", "action word", "exclamation",
        "without the place", "where it happened", "place of the event", "show the rest",
    )  # fmt: skip
    random = Random(1)
    shown = "".join(
        list_document(random, 12) + examples_document(random, 4, 0.35) for _ in range(400)
    )
    held_out = [FAMILIES[name] for name in HELD_OUT]
    asked = "".join(draw_task(random, held_out).instruction for _ in range(2_000))
    for phrase in phrases:
        assert phrase in asked and phrase not in shown, phrase


RIGHT = [
    ("sort_up", "41, 7, 100", "7, 41, 100"),
    ("sort_down", "41, 7, 100", "100, 41, 7"),
    ("maximum", "9, 10, 8", "10"),
    ("minimum", "9, 10, 8", "8"),
    ("first_item", "cat, plum, red", "cat"),
    ("last_item", "cat, plum, red", "red"),
    ("reverse", "cat, plum, red", "red, plum, cat"),
    ("count_items", "cat, plum, red", "three"),
    ("join_and", "cat, plum, red", "cat and plum and red"),
    ("drop_first", "cat, plum, red", "plum, red"),
    ("bullet", "cat, plum", "- cat - plum"),
    ("only_animals", "cat, plum, owl", "cat, owl"),
    ("only_fruit", "cat, red, owl", "none"),
    ("opposite", "early", "late"),
    ("plural", "lamp", "lamps"),
    ("past_tense", "hide", "hid"),
    ("kind", "plum", "fruit"),
    ("upper", "owl", "OWL"),
    ("spell", "12", "twelve"),
    ("parity", "31", "odd"),
    ("next_number", "99", "100"),
    ("larger", "9 and 10", "10"),
    ("smaller", "9 and 10", "9"),
    ("add", "9 and 10", "19"),
    ("who", "Mia hid the red lamp in the park.", "Mia"),
    ("place", "Mia hid the red lamp in the park.", "park"),
    ("color", "Mia hid the red lamp in the park.", "red"),
    ("object", "Mia hid the red lamp in the park.", "lamp"),
    ("verb", "Mia hid the red lamp in the park.", "hid"),
    ("first_word", "Mia hid the red lamp in the park.", "Mia"),
    ("where", "Mia hid the red lamp in the park.", "In the park."),
    ("future", "Mia hid the red lamp in the park.", "Mia will hide the red lamp in the park."),
    ("negate", "Mia hid the red lamp in the park.", "Mia did not hide the red lamp in the park."),
    ("question", "Mia hid the red lamp in the park.", "Did Mia hide the red lamp in the park?"),
    ("no_color", "Mia hid the red lamp in the park.", "Mia hid the lamp in the park."),
    ("no_place", "Mia hid the red lamp in the park.", "Mia hid the red lamp."),
    ("title", "Mia hid the red lamp in the park.", "The Red Lamp"),
    ("passive", "Mia hid the red lamp in the park.", "The red lamp was hidden by Mia in the park."),
    ("exclaim", "Mia hid the red lamp in the park.", "Wow, Mia hid the red lamp in the park!"),
    (
        "quote",
        "Mia hid the red lamp in the park.",
        "They say that Mia hid the red lamp in the park.",
    ),
]


def test_every_solver_is_right_on_an_example_checked_by_hand() -> None:
    solvers = {name: family.solve for name, family in FAMILIES.items() if family.solve}
    assert solvers.keys() == {name for name, _, _ in RIGHT}
    assert [(name, text, solvers[name](text)) for name, text, _ in RIGHT] == RIGHT


@given(st.integers(0, 2**32))
def test_solvers_agree_with_what_the_families_draw(seed: int) -> None:
    random = Random(seed)
    for family in FAMILIES.values():
        text, output = family.instance(random, family.values(random))
        assert output and bool(text) == bool(family.label)
        assert family.solve is None or family.solve(text) == output


@given(st.text())
def test_solvers_take_any_text(text: str) -> None:
    for family in FAMILIES.values():
        assert family.solve is None or isinstance(family.solve(text), str | None)


@pytest.mark.parametrize(
    "fault", ["lazy", "echo", "loop", "garble", "cut", "other", "wrong", "foreign", "missing"]
)
def test_a_spoilt_example_differs_and_keeps_its_instruction(fault: str) -> None:
    random = Random(2)
    for _ in range(300):
        example = draw_example(random, draw_task(random, list(FAMILIES.values())))
        spoilt = spoil(random, example, fault)
        assert spoilt.task == example.task
        assert (spoilt.input, spoilt.output) != (example.input, example.output)
        assert spoilt.output


def test_the_keyword_filter_refuses_what_no_text_answers_and_nothing_else() -> None:
    rules = InstructionFilter.model_validate(CONFIG["instructions"]["filter"])
    random = Random(3)
    for _ in range(1_000):
        picture = draw_task(random, list(UNANSWERABLE.values())).instruction
        assert refusal(picture, rules) == "keyword", picture
        task = draw_task(random, list(FAMILIES.values())).instruction
        assert refusal(task, rules) is None, task
