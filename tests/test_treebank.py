"""The treebank of the demo's instructions: its sentences are those of the phrasings."""

from __future__ import annotations

import re
from random import Random

import pytest
from nltk import Tree

from refine_af.demo.families import TRAINING, UNANSWERABLE
from refine_af.demo.phrasings import PHRASINGS, pattern
from refine_af.demo.treebank import FORMS, OPENINGS, draw_tree, treebank
from refine_af.diversity.constituency import verb_noun

# What PHRASINGS calls a word may be two, as in "household things".
PATTERNS = {name: pattern(form).replace(r"\w+", r"[\w ]+") for name, form in PHRASINGS.items()}


@pytest.mark.parametrize("name", FORMS)
def test_a_trees_words_are_a_form_of_the_familys_phrasing(name: str) -> None:
    random = Random(0)
    for _ in range(40):
        tree = Tree.fromstring(draw_tree(random, name))
        text = " ".join(tree.leaves()).replace(" ,", ",")
        assert re.search(PATTERNS[name], text, re.IGNORECASE), text
        assert text[0].isupper() and text[-1] in ".?"
        assert tree.label() == "TOP" and all(tag for _, tag in tree.pos())


def test_every_family_that_is_trained_on_but_one_has_a_form() -> None:
    assert {*TRAINING, *UNANSWERABLE} - FORMS.keys() == {"day_after"}
    assert FORMS.keys() <= {*TRAINING, *UNANSWERABLE}


def test_a_treebank_is_the_same_again_and_has_verbs_and_nouns() -> None:
    trees = treebank(Random(1), 300)
    assert trees == treebank(Random(1), 300) != treebank(Random(2), 300)
    pairs = [verb_noun(Tree.fromstring(tree)) for tree in trees]
    assert {("sort", "number"), ("replace", "place")} & set(pairs)
    assert 100 < sum(noun is not None for _, noun in pairs) < 300


def test_an_opening_has_one_place_for_an_imperative() -> None:
    for opening in OPENINGS:
        assert opening.count("@") == 1 and opening.count("[") == opening.count("]")
