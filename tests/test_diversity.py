"""Verbs and nouns: of trees bracketed by hand, of the pairs, and from parses to the table."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nltk import Tree

from diversity import main
from made_up_run import instruction, write_json, write_rows
from parsers import PAIRS, TREES
from refine_af.diversity import constituency, dependencies
from refine_af.diversity.lemmas import noun_lemma, verb_lemma
from refine_af.diversity.pairs import counts_of, unique_pairs, verb_noun_of
from refine_af.errors import InputError
from refine_af.files.rows import read_records
from refine_af.jobs.command_line import run
from refine_af.records.diversity import Parse, VerbNoun

# Sentences bracketed by hand, each with its verb and noun.
BY_HAND = [
    (
        "(S (VP (VB Write) (NP (PRP me)) (NP (DT a) (NN story)) (PP (IN on) (NP (NN art)))) (. .))",
        ("write", "story"),
    ),
    (
        "(S (VP (VB Give) (NP (DT the) (NN user)) (NP (NP (DT a) (NN list)) (PP (IN of)"
        " (NP (NNS games))))) (. .))",
        ("give", "list"),
    ),
    (
        "(S (VP (VB Classify) (SBAR (IN whether) (S (NP (DT this) (NN tweet)) (VP (VBZ contains)"
        " (NP (JJ political) (NN content)))))) (. .))",
        ("classify", None),
    ),
    (
        "(SBARQ (WHNP (WDT Which) (PP (IN of) (NP (DT these)))) (SQ (VP (VBP are) (ADJP"
        " (JJ true)))) (. ?))",
        (None, None),
    ),
    (
        "(S (NP (PRP You)) (VP (VBP are) (VP (VBN given) (NP (DT a) (NN paragraph)))) (. .))",
        ("give", "paragraph"),
    ),
    (
        "(S (PP (VBN Given) (NP (DT a) (NN sentence))) (, ,) (VP (VB find) (NP (CD three)"
        " (NNS keywords))) (. .))",
        ("find", "keyword"),
    ),
    (
        "(S (NP (PRP You)) (VP (MD must) (VP (VB construct) (NP (JJ additional) (NNS pylons))))"
        " (. !))",
        ("construct", "pylon"),
    ),
    (
        "(S (VP (VP (VB Extract) (NP (NP (DT all) (DT the) (NN country) (NNS names)) (PP (IN in)"
        " (NP (DT the) (NN text))))) (, ,) (CC and) (VP (VB list) (NP (PRP them)))) (. .))",
        ("extract", "name"),
    ),
    (
        "(SBARQ (WHADVP (WRB How)) (SQ (VBP do) (NP (PRP you)) (VP (VB answer) (NP (DT this)"
        " (NN question)))) (. ?))",
        ("answer", "question"),
    ),
    (
        "(S (VP (VB Explain) (NP (NP (NNP Einstein) (POS 's)) (NN theory))) (. .))",
        ("explain", "theory"),
    ),
    ("(S (VP (VB Visit) (NP (NNP Paris))) (. .))", ("visit", None)),
    (
        "(S (VP (VB Compose) (NP (PRP them)) (PP (IN into) (NP (DT a) (NN story)))) (. .))",
        ("compose", None),
    ),
    (
        "(S (VP (VB Find) (NP (NP (DT the) (JJ toxic) (NN word)) (CC or) (NP (NN phrase)))) (. .))",
        ("find", "word"),
    ),
    ("(NP (NNP Question) (: :))", (None, None)),
    ("(S (INTJ (UH Please)) (VP (VB list) (NP (NNS categories))) (. .))", ("list", "category")),
    (
        "(S (NP (NN Sam)) (VP (VBZ is) (VP (VBG playing) (NP (NN football)))) (. .))",
        ("play", "football"),
    ),
    # Beyond these 16: a bare modal, verbs of the sort of help, time, particles, joints in a phrase.
    ("(S (NP (PRP You)) (VP (MD must)) (. .))", (None, None)),
    ("(S (NP (PRP He)) (VP (VBZ has) (NP (DT a) (NN dog))) (. .))", ("have", "dog")),
    (
        "(S (NP (PRP They)) (VP (VBP have) (VP (VBN been) (VP (VBN told) (NP (DT a) (NN lie))))))",
        ("tell", "lie"),
    ),
    (
        "(S (VP (VB Do) (RB n't) (VP (VB explain) (NP (NN anything)))) (. .))",
        ("explain", "anything"),
    ),
    ("(S (VP (VB Do) (NP (DT the) (NN laundry)) (NP (NN today))) (. .))", ("do", "laundry")),
    (
        "(S (VP (VB Write) (PRT (RP down)) (NP (DT the) (NN cat) (CC and) (NN dog))) (. .))",
        ("write", "cat"),
    ),
    (
        "(S (VP (VB Name) (NP (NN one)) (, ,) (ADVP (RB then)) (NP (NN another))) (. .))",
        ("name", "one"),
    ),
    ("(S (VP (VB Sort) (NN text)) (. .))", ("sort", "text")),
    (
        "(S (S (VP (VB Help) (NP (PRP me)))) (: :) (S (VP (VB sort) (NP (NNS words)))) (. .))",
        ("help", None),
    ),
    (
        "(S (NP (PRP I)) (VP (VBP want) (S (NP (PRP you)) (VP (TO to) (VP (VB sort)"
        " (NP (NNS words)))))) (. .))",
        ("want", None),
    ),
    ("(S (VP (VB Open) (NP (ADJP (JJ red)))) (. .))", ("open", None)),
    ("(SQ (VBZ Is) (NP (DT this)) (NP (DT a) (NN word)) (. ?))", (None, None)),
    ("(FRAG (NP (NN Noun)) (VP (TO to) (VP (VB go))))", ("go", None)),
]


@pytest.mark.parametrize(
    ("tree", "pair"), BY_HAND, ids=[" ".join(Tree.fromstring(t).leaves()) for t, _ in BY_HAND]
)
def test_a_tree_gives_its_verb_and_noun(tree: str, pair: tuple[str | None, str | None]) -> None:
    assert constituency.verb_noun(Tree.fromstring(f"(TOP {tree})")) == pair
    marked = tree.replace("(NP ", "(NP-SBJ ").replace("(VP ", "(VP-PRD=1-2 ")
    assert constituency.verb_noun(Tree.fromstring(f"( {marked})")) == pair, "with functions"


@pytest.mark.parametrize(("tree", "pair"), list(zip(TREES, PAIRS, strict=True)))
def test_the_trees_of_other_tests_have_the_pairs_that_they_say(
    tree: str, pair: tuple[str | None, str | None]
) -> None:
    assert constituency.verb_noun(Tree.fromstring(tree)) == pair


LABELS = ["S", "VP", "NP", "SQ", "SBARQ", "X", "NML", "-LRB-"]
TAGS = ["VB", "VBZ", "MD", "TO", "NN", "NNS", "NNP", "POS", "CC", ".", "", "UNK"]
WORDS = st.sampled_from(["is", "have", "go", "cats", "today", "'s", "$x$", "ß"])
LEAVES = st.builds(lambda tag, word: Tree(tag, [word]), st.sampled_from(TAGS), WORDS)
TREE = st.recursive(
    LEAVES,
    lambda inner: st.builds(Tree, st.sampled_from(LABELS), st.lists(inner, min_size=1, max_size=4)),
    max_leaves=30,
)


@given(TREE)
def test_any_tree_gives_a_pair_or_says_what_is_lacking(tree: Any) -> None:
    verb, noun = constituency.verb_noun(Tree("TOP", [tree]))
    words = {word.lower() for word, tag in tree.pos() if tag in constituency.NOUNS}
    assert noun is None or verb is not None
    assert noun is None or noun in {
        noun_lemma(word, tag) for word in words for tag in ("NN", "NNS")
    }
    assert verb not in constituency.BE


def test_a_deep_tree_is_read(tmp_path: Path) -> None:
    deep = "(VP (TO to) " * 196 + "(VP (VB go) (NN home))" + ")" * 196
    assert Tree.fromstring(f"(TOP {deep})").height() == 200
    assert told(tmp_path, [f"(TOP {deep})"])[0] == [("go", "home", None)]


@pytest.mark.parametrize(
    ("forms", "tag", "lemma"),
    [
        ("writing wrote written", "", "write"),
        ("made making", "", "make"),
        ("stopped stopping", "", "stop"),
        ("hoped hoping", "", "hope"),
        ("added adding", "", "add"),
        ("called calling", "", "call"),
        ("fixed fixing", "", "fix"),
        ("edited editing", "", "edit"),
        ("repeated repeating", "", "repeat"),
        ("created creating", "", "create"),
        ("summarized summarizing", "", "summarize"),
        ("described describing", "", "describe"),
        ("explained explaining", "", "explain"),
        ("combined combining", "", "combine"),
        ("changed changing", "", "change"),
        ("judged judging", "", "judge"),
        ("argued arguing", "", "argue"),
        ("handled handling", "", "handle"),
        ("compared comparing", "", "compare"),
        ("appeared appearing", "", "appear"),
        ("measured measuring", "", "measure"),
        ("paraphrased paraphrasing", "", "paraphrase"),
        ("classified", "", "classify"),
        ("playing played", "", "play"),
        ("said", "", "say"),
        ("studies", "VBZ", "study"),
        ("goes", "VBZ", "go"),
        ("guesses", "VBZ", "guess"),
        ("uses", "VBZ", "use"),
        ("has", "VBZ", "have"),
        ("Write", "VB", "write"),
        ("string", "VBG", "string"),
    ],
)
def test_lemmas_of_verbs(forms: str, tag: str, lemma: str) -> None:
    for form in forms.split():
        kind = tag or ("VBG" if form.endswith("ing") else "VBN")
        assert verb_lemma(form, kind) == lemma


@pytest.mark.parametrize(
    ("form", "lemma"),
    [
        ("Stories", "story"), ("boxes", "box"), ("dishes", "dish"), ("classes", "class"),
        ("sentences", "sentence"), ("children", "child"), ("criteria", "criterion"),
        ("analyses", "analysis"), ("quizzes", "quiz"), ("lives", "life"), ("movies", "movie"),
        ("potatoes", "potato"), ("shoes", "shoe"), ("keys", "key"), ("ties", "tie"),
        ("news", "news"), ("chess", "chess"), ("people", "person"), ("data", "datum"),
    ],
)  # fmt: skip
def test_lemmas_of_nouns(form: str, lemma: str) -> None:
    assert noun_lemma(form, "NNS") == lemma
    assert noun_lemma(form, "NN") == form.lower(), "singular as it stands"


def conllu(*words: tuple[str, str, int, str]) -> str:
    """CoNLL-U of words given as lemma, kind, head and relation."""
    return "\n".join(
        "\t".join([str(n), lemma, lemma, kind, "_", "_", str(head), relation, "_", "_"])
        for n, (lemma, kind, head, relation) in enumerate(words, 1)
    )


@pytest.mark.parametrize(
    ("words", "pair"),
    [
        # "Write me a story": dative, then dobj
        (
            [
                ("write", "VERB", 0, "ROOT"),
                ("I", "PRON", 1, "dative"),
                ("a", "DET", 4, "det"),
                ("story", "NOUN", 1, "dobj"),
            ],
            ("write", "story"),
        ),
        # The first of two objects; a pronoun is none.
        (
            [
                ("take", "VERB", 0, "ROOT"),
                ("it", "PRON", 1, "dobj"),
                ("cat", "NOUN", 1, "dobj"),
                ("dog", "NOUN", 1, "dobj"),
            ],
            ("take", "cat"),
        ),
        ([("go", "VERB", 0, "ROOT"), ("home", "ADV", 1, "advmod")], ("go", None)),
        # "What is said": from the root, which is no VERB, to its first child alone.
        (
            [("what", "PRON", 2, "attr"), ("be", "AUX", 0, "ROOT"), ("say", "VERB", 2, "x")],
            (None, None),
        ),
        (
            [("say", "VERB", 2, "csubj"), ("be", "AUX", 0, "ROOT"), ("word", "NOUN", 1, "dobj")],
            ("say", "word"),
        ),
        ([("word", "NOUN", 0, "ROOT")], (None, None)),
        ([("a", "X", 2, "x"), ("b", "X", 1, "x")], (None, None)),  # a circle without a root
        ([("a", "X", 0, "x"), ("b", "X", 3, "x"), ("c", "X", 2, "x")], (None, None)),
    ],
)
def test_the_published_notebook_looks_so(
    words: list[tuple[str, str, int, str]], pair: tuple[str | None, str | None]
) -> None:
    assert dependencies.verb_noun(dependencies.words_of(conllu(*words))) == pair


def test_a_line_that_is_no_conllu_is_refused() -> None:
    with pytest.raises(ValueError, match="2 columns, not 10"):
        dependencies.words_of("1\tword")


def test_pairs_and_counts() -> None:
    rows = [
        VerbNoun("a", "write", "story", None),
        VerbNoun("b", "sort", "word", None),
        VerbNoun("c", "sort", "word", None),
        VerbNoun("d", "sort", "list", None),
        VerbNoun("e", "go", None, "objectless"),
        VerbNoun("f", None, None, "verbless"),
        VerbNoun("g", None, None, "too long"),
        VerbNoun("h", None, None, "too long"),
        VerbNoun("i", None, None, "empty"),
    ]
    assert unique_pairs(rows) == [
        {"verb": "sort", "noun": "word", "instructions": 2},
        {"verb": "sort", "noun": "list", "instructions": 1},
        {"verb": "write", "noun": "story", "instructions": 1},
    ]
    counts = counts_of(rows)
    assert counts.unparsed == {"empty": 1, "too long": 2, "unreadable": 0}
    assert (counts.instructions, counts.parsed) == (9, 6)
    assert (counts.verbless, counts.objectless, counts.with_pair) == (1, 1, 4)
    assert counts.unique_pairs == 3


def test_why_there_is_no_pair() -> None:
    assert verb_noun_of(Parse("a", None, "empty"), "benepar").reason == "empty"
    assert verb_noun_of(Parse("a", "(TOP (NN a))", None), "benepar").reason == "verbless"
    assert verb_noun_of(Parse("a", "(TOP (VP (VB go)))", None), "benepar").reason == "objectless"
    assert verb_noun_of(Parse("a", conllu(("go", "VERB", 0, "ROOT")), None), "spacy").verb == "go"


USED = {"backend": "benepar", "name": "small", "digest": "0" * 64, "versions": {"benepar": "1"}}


def made(folder: Path, trees: Sequence[str | None], used: dict[str, Any] = USED) -> Path:
    """A segment's folder of parses; what is None was too long."""
    rows = [
        {"id": instruction(n)["id"], "parse": tree, "reason": None if tree else "too long"}
        for n, tree in enumerate(trees)
    ]
    write_rows(folder / "parses.jsonl", rows)
    write_json(folder / "parser.json", used)
    return folder


def told(folder: Path, trees: Sequence[str | None]) -> tuple[list[tuple[Any, ...]], dict[str, Any]]:
    """Verb, noun and reason of each row that the script writes, and its summary."""
    made(folder / "parses", trees)
    pool = folder / "pool.jsonl"
    write_rows(pool, [instruction(n) for n, _ in enumerate(trees)])
    out = folder / "diversity"
    flags = ["--instructions", pool, "--parses", folder / "parses", "--diversity", out]
    run(main, arguments=list(map(str, flags)))
    rows = read_records(out / "verb_nouns.jsonl", VerbNoun)
    assert [row.id for row in rows] == [instruction(n)["id"] for n, _ in enumerate(trees)]
    summary = json.loads((out / "summary.json").read_text())
    return [(row.verb, row.noun, row.reason) for row in rows], summary


def test_from_parses_to_the_table(tmp_path: Path) -> None:
    rows, summary = told(tmp_path, [*TREES, None])
    assert [row[:2] for row in rows[:-1]] == PAIRS
    assert rows[-1] == (None, None, "too long")
    assert summary["parser"] == USED
    assert (summary["instructions"], summary["parsed"], summary["with_pair"]) == (13, 12, 8)
    assert (summary["verbless"], summary["objectless"]) == (1, 3)
    table = (tmp_path / "diversity" / "pairs.csv").read_text().splitlines()
    assert table[:2] == ["verb,noun,instructions", "create,list,1"] and len(table) == 9


def test_instructions_beyond_the_largest_size_do_not_count(tmp_path: Path) -> None:
    first, second = made(tmp_path / "0", TREES[:2]), made(tmp_path / "1", TREES[2:4])
    rows = [
        json.loads(line) | {"id": instruction(2 + n)["id"]}
        for n, line in enumerate((second / "parses.jsonl").read_text().splitlines())
    ]
    write_rows(second / "parses.jsonl", rows)
    pool = tmp_path / "pool.jsonl"
    write_rows(pool, [instruction(n) for n in range(3)])
    main(instructions=pool, parses=[first, second], diversity=tmp_path / "out")
    assert len((tmp_path / "out" / "verb_nouns.jsonl").read_text().splitlines()) == 3
    write_rows(pool, [instruction(n) for n in range(5)])
    with pytest.raises(InputError, match=r"pool\.jsonl, line 5: 'i000004', where .* have None"):
        main(instructions=pool, parses=[first, second], diversity=tmp_path / "other")
    shutil.copy(first / "parses.jsonl", second)
    with pytest.raises(InputError, match=r"line 3: 'i000002', where the parses have 'i000000'"):
        main(instructions=pool, parses=[first, second], diversity=tmp_path / "other")


@pytest.mark.parametrize(
    ("used", "said"),
    [
        (USED | {"digest": "1" * 64}, r"1/parser\.json: another parser than in .*0/parser\.json"),
        (USED | {"versions": {"benepar": "2"}}, "Delete the older of the two folders"),
        ({"backend": "benepar"}, r"1/parser\.json: no 'name'"),
    ],
)
def test_parses_of_two_parsers_are_not_mixed(
    used: dict[str, Any], said: str, tmp_path: Path
) -> None:
    folders = [made(tmp_path / "0", TREES[:1]), made(tmp_path / "1", TREES[:1], used)]
    write_rows(tmp_path / "pool.jsonl", [instruction(0)])
    with pytest.raises(InputError, match=said):
        main(instructions=tmp_path / "pool.jsonl", parses=folders, diversity=tmp_path / "out")


@pytest.mark.parametrize(
    ("backend", "parse"),
    [("benepar", "(TOP (S"), ("benepar", "no tree"), ("spacy", "(TOP (NN a))")],
)
def test_a_damaged_parse_is_named_with_its_line(backend: str, parse: str, tmp_path: Path) -> None:
    folder = made(tmp_path / "0", [parse], USED | {"backend": backend})
    write_rows(tmp_path / "pool.jsonl", [instruction(0)])
    with pytest.raises(InputError, match=rf"parses\.jsonl, line 1: no parse of {backend}: "):
        main(instructions=tmp_path / "pool.jsonl", parses=[folder], diversity=tmp_path / "out")


def test_no_folder_of_parses_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--parses: names no folder"):
        main(instructions=tmp_path / "pool.jsonl", parses=[], diversity=tmp_path / "out")
