"""Parsers of English: sentences, folders of benepar and spaCy, a segment parsed and resumed."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

import diversity_parses
from conftest import built_once
from killing import draws, killed, writes
from made_up_run import instruction, write_json, write_rows
from parsers import PAIRS, SENTENCES, TREES, make_parser, make_pretrained_parser, make_spacy
from refine_af.diversity.constituency import verb_noun
from refine_af.diversity.parsing import parser_of
from refine_af.diversity.sentences import first_sentence
from refine_af.errors import InputError
from refine_af.files.journal import Journal
from refine_af.files.rows import read_records
from refine_af.models.parsers import check_parser, parser_digest
from refine_af.records.diversity import Parse
from refine_af.settings.diversity import Diversity

KINDS: dict[str, Callable[[Path], None]] = {
    "letters": make_parser,
    "t5": lambda folder: make_pretrained_parser(folder, "t5"),
    "bert": lambda folder: make_pretrained_parser(folder, "bert"),
    "spacy": make_spacy,
}


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a parser of each kind, made once."""

    def find(kind: str) -> Path:
        return built_once(f"parser_{kind}", KINDS[kind], tmp_path_factory.getbasetemp())

    return find


def settings(**changes: Any) -> Diversity:
    section = {"backend": "benepar", "parser": "p", "batch_size": 4, "batch_subwords": 40}
    return Diversity.model_validate(section | changes)


def words(text: str) -> str:
    """A text's first sentence, its words parted by a bar, or by a dot where a space follows."""
    found = first_sentence(text)
    return "".join(
        word + ("·" if space else "|")
        for word, space in zip(found.words, found.space_after, strict=True)
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "parted"),
    [
        ("Write a story. Make it short.", "Write·a·story|.|"),
        ("  Don't\n\nwrite  (much)! ", "Do|n't·write·(|much|)|!|"),
        ("Say e.g. a word", "Say·e.g.·a·word|"),
        ("Sort 3.5 and 2", "Sort·3.5·and·2|"),
        ("half \ud800 a character", "half·\ufffd·a·character|"),
        ("写一个故事。再写一个。", "写一个故事。再写一个|。|"),
        ("\n \t ", ""),
        ("", ""),
    ],
)
def test_the_first_sentence_in_words(text: str, parted: str) -> None:
    assert words(text) == parted


@pytest.mark.slow
def test_a_sentence_without_end_is_cut() -> None:
    assert first_sentence("word " * 3000).cut
    assert not first_sentence("A word. " + "word " * 3000).cut


class TestBenepar:
    """A parser of benepar in the form of its releases, by letters and on pretrained encoders."""

    def loaded(self, folder: Path) -> Any:
        from refine_af.diversity.benepar_parser import BeneparParser

        return BeneparParser(folder, 40)

    @pytest.mark.slow
    def test_a_trained_one_gives_the_trees_it_was_trained_on(
        self, folder_of: Callable[[str], Path]
    ) -> None:
        from nltk import Tree

        found = self.loaded(folder_of("letters")).parses(SENTENCES)
        assert all(why is None for _, why in found)
        right = sum(tree == own for (tree, _), own in zip(found, TREES, strict=True))
        assert right >= 8, "most of what it knows by heart, whatever the machine's rounding"
        pairs = [verb_noun(Tree.fromstring(tree)) for tree, _ in found]
        assert sum(pair == own for pair, own in zip(pairs, PAIRS, strict=True)) >= 8

    @pytest.mark.slow
    @pytest.mark.parametrize("kind", ["letters", "t5", "bert"])
    def test_trees_are_those_that_benepar_gives_by_itself(
        self, kind: str, folder_of: Callable[[str], Path]
    ) -> None:
        """Sentence by sentence, from its own loader; special tokens given back to tokenizers."""
        from benepar import InputSentence
        from nltk import Tree

        from refine_af.models.upstream import special_tokens_built

        loaded = self.loaded(folder_of(kind))
        found = loaded.parses(SENTENCES)
        for text, (tree, why) in zip(SENTENCES, found, strict=True):
            sentence = first_sentence(text)
            example = InputSentence(
                words=sentence.words,
                space_after=sentence.space_after,
                escaped_words=sentence.words,
            )
            (alone,) = loaded._parser.parse([example])
            assert why is None and Tree.fromstring(tree) == alone
        if kind != "letters":
            from benepar import Parser

            with special_tokens_built():
                own = Parser(str(folder_of(kind)))
            scores = [
                each._parser.parse([example], return_scores=True)[0] for each in (own, loaded)
            ]
            assert (scores[0] == scores[1]).all()

    @pytest.mark.slow
    @pytest.mark.parametrize("kind", ["letters", "t5", "bert"])
    def test_what_cannot_be_parsed_is_told_apart_and_hinders_nothing(
        self, kind: str, folder_of: Callable[[str], Path]
    ) -> None:
        loaded = self.loaded(folder_of(kind))
        texts = ["", SENTENCES[0], " \n", "word " * 600, "w" * 20_000, "(a) [b] {c} / $x$ <b>&"]
        found = loaded.parses(texts)
        assert [why for _, why in found] == ["empty", None, "empty", "too long", "too long", None]
        assert [tree is None for tree, _ in found] == [why is not None for _, why in found]
        (alone,) = loaded.parses([SENTENCES[0]])
        assert found[1] == alone
        leaves = "-LRB- a -RRB- -LSB- b -RSB- -LCB- c -RCB- / $ x$ < b > &"
        from nltk import Tree

        assert " ".join(Tree.fromstring(found[5][0]).leaves()) == leaves

    @pytest.mark.slow
    def test_a_word_that_the_tokenizer_drops_is_unreadable(
        self, folder_of: Callable[[str], Path]
    ) -> None:
        loaded = self.loaded(folder_of("bert"))  # whose splitter drops controls
        found = loaded.parses(["\u200b", "Write \u200b\u200b", SENTENCES[1]])
        assert [why for _, why in found] == ["unreadable", "unreadable", None]

    @pytest.mark.slow
    def test_a_tree_too_deep_to_be_read_is_unreadable(
        self, folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("refine_af.diversity.benepar_parser.DEEPEST", 4)
        assert self.loaded(folder_of("letters")).parses(SENTENCES[:1]) == [(None, "unreadable")]

    @pytest.mark.slow
    def test_weights_that_hold_a_program_are_refused_and_not_run(
        self, folder_of: Callable[[str], Path], tmp_path: Path
    ) -> None:
        folder = shutil.copytree(folder_of("letters"), tmp_path / "p")
        trap = tmp_path / "ran"

        class Program:
            def __reduce__(self) -> tuple[Any, ...]:
                return (open, (str(trap), "w"))

        path = folder / "benepar_model.bin"
        for content in (pickle.dumps({"a": Program()}), b"", b"no pickle", path.read_bytes()[:99]):
            path.write_bytes(content)
            with pytest.raises(InputError, match=r"benepar_model\.bin: no weights alone: "):
                self.loaded(folder)
        torch.save({"a": Program()}, path)
        with pytest.raises(InputError, match="no weights alone"):
            self.loaded(folder)
        assert not trap.exists()

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda c: c.pop("hparams"), "hparams"),
            (lambda c: c.pop("tag_vocab"), "tag_vocab"),
            (lambda c: c.update(other=1), "other"),
            (lambda c: c["hparams"].pop("d_model"), "d_model"),
            (lambda c: c["hparams"].update(d_model=16), "size mismatch|state_dict"),
            (lambda c: c["label_vocab"].update(NEW=40), "size mismatch|state_dict"),
        ],
    )
    def test_settings_and_weights_that_do_not_fit_are_refused(
        self,
        change: Callable[[dict[str, Any]], None],
        said: str,
        folder_of: Callable[[str], Path],
        tmp_path: Path,
    ) -> None:
        folder = shutil.copytree(folder_of("letters"), tmp_path / "p")
        stated = json.loads((folder / "config.json").read_text())
        change(stated["benepar"])
        write_json(folder / "config.json", stated)
        with pytest.raises(
            InputError, match=f"{folder}: config.json and the weights make no parser: .*({said})"
        ):
            self.loaded(folder)


class TestSpacy:
    """A pipeline of spaCy, which is not trained, and so parses as it happens to."""

    @pytest.mark.slow
    def test_the_first_sentence_is_written_as_conllu(
        self, folder_of: Callable[[str], Path]
    ) -> None:
        import spacy

        from refine_af.diversity.dependencies import words_of
        from refine_af.diversity.spacy_parser import SpacyParser

        found = SpacyParser(folder_of("spacy")).parses([*SENTENCES, "", " \n"])
        pipeline = spacy.load(folder_of("spacy"))
        for text, (parse, why) in zip(SENTENCES, found, strict=False):
            sentence = next(pipeline(text).sents)
            assert why is None and parse is not None
            rows = words_of(parse)
            assert [row.relation for row in rows] == [token.dep_ for token in sentence]
            assert [row.kind for row in rows] == [token.pos_ or "_" for token in sentence]
            heads = [token.head.i + 1 if token.head.i != token.i else 0 for token in sentence]
            assert [row.head for row in rows] == heads
        assert found[-2:] == [(None, "empty")] * 2

    def test_a_sentence_written_by_hand(self) -> None:
        import spacy
        from spacy.tokens import Doc

        from refine_af.diversity.spacy_parser import conllu

        document = Doc(
            spacy.blank("en").vocab,
            words=["Go", ".", "Tell", "tales", "!"],
            lemmas=["go", ".", "tell", "tale", "!"],
            pos=["VERB", "PUNCT", "VERB", "NOUN", "PUNCT"],
            heads=[0, 0, 2, 2, 2],
            deps=["ROOT", "punct", "ROOT", "dobj", "punct"],
            sent_starts=[True, False, True, False, False],
        )
        assert conllu(list(document.sents)[1]).split("\n") == [
            "1\tTell\ttell\tVERB\t_\t_\t0\tROOT\t_\t_",
            "2\ttales\ttale\tNOUN\t_\t_\t1\tdobj\t_\t_",
            "3\t!\t!\tPUNCT\t_\t_\t1\tpunct\t_\t_",
        ]

    @pytest.mark.slow
    def test_a_pipeline_that_parses_nothing_is_refused(self, tmp_path: Path) -> None:
        import spacy

        from refine_af.diversity.spacy_parser import SpacyParser

        spacy.blank("en").to_disk(tmp_path / "blank")
        with pytest.raises(InputError, match=r"blank: this pipeline has no parser: \[\]"):
            SpacyParser(tmp_path / "blank")
        (tmp_path / "blank" / "config.cfg").write_text("[nlp]\nlang = xx-none\n")
        with pytest.raises(InputError, match=r"blank: no pipeline that spaCy \d.* reads: "):
            SpacyParser(tmp_path / "blank")


def with_files(folder: Path, **files: str) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (
            folder / name.replace("_bin", ".bin").replace("_json", ".json").replace("_cfg", ".cfg")
        ).write_text(content)
    return folder


SOUND = {"config_json": '{"benepar": {}}', "benepar_model_bin": ""}


@pytest.mark.parametrize(
    ("backend", "files", "said"),
    [
        ("benepar", {}, "no config.json, so this is not a parser of benepar$"),
        ("benepar", {"config_json": '{"benepar": {}}'}, r"no benepar_model\.bin, so this is"),
        ("benepar", SOUND | {"config_json": "{}"}, r"config\.json: no object 'benepar'"),
        ("benepar", SOUND | {"config_json": "{"}, r"config\.json: not JSON"),
        ("benepar", SOUND | {"config_json": '{"benepar": {}, "auto_map": 1}'}, "never run"),
        ("benepar", SOUND | {"tokenizer_config_json": '{"auto_map": {}}'}, "code of its own"),
        (
            "benepar",
            {"meta_json": "{}", "config_cfg": ""},
            "a pipeline of spaCy, which diversity.backend: spacy reads",
        ),
        ("spacy", SOUND, "a parser of benepar, which diversity.backend: benepar reads"),
        ("spacy", {"meta_json": "{}"}, r"no config\.cfg, so this is not a pipeline of spaCy$"),
    ],
)
def test_a_folder_that_holds_no_parser_is_refused(
    backend: str, files: dict[str, str], said: str, tmp_path: Path
) -> None:
    folder = with_files(tmp_path / "p", **files)
    with pytest.raises(InputError, match=f"^{folder}.*{said}"):
        check_parser(folder, backend)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="p: no such folder of a parser"):
        check_parser(tmp_path / "p", "benepar")
    (tmp_path / "p").write_text("")
    with pytest.raises(InputError, match="p: a parser is a folder, and this is a file"):
        check_parser(tmp_path / "p", "benepar")


def test_the_digest_is_of_names_and_contents(tmp_path: Path) -> None:
    first = with_files(tmp_path / "a", **SOUND)
    second = shutil.copytree(first, tmp_path / "b")
    assert parser_digest(first) == parser_digest(second)
    (second / "benepar_model.bin").write_text("1")
    changed = parser_digest(second)
    assert changed != parser_digest(first)
    (second / "benepar_model.bin").rename(second / "other.bin")
    assert parser_digest(second) not in (changed, parser_digest(first))


def pool(folder: Path, texts: Sequence[str]) -> Path:
    """A segment of the pool with these instructions."""
    rows = [instruction(n) | {"instruction": text} for n, text in enumerate(texts)]
    write_rows(folder / "instructions.jsonl", rows)
    return folder


TEXTS = [*SENTENCES, "", "word " * 600]


def asked(parser: Path, folder: Path, **changes: Any) -> dict[str, Any]:
    given = {"settings": settings(), "parser": parser, "segment": pool(folder / "pool", TEXTS)}
    return given | {"progress": folder / "kept", "parses": folder / "parses"} | changes


@pytest.mark.slow
def test_a_segment_is_parsed_and_goes_on_byte_for_byte(
    folder_of: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = asked(folder_of("letters"), tmp_path)
    diversity_parses.main(**given)
    rows = read_records(tmp_path / "parses" / "parses.jsonl", Parse)
    assert [row.reason for row in rows] == [None] * 12 + ["empty", "too long"]
    assert [row.id for row in rows] == [instruction(n)["id"] for n in range(14)]
    used = json.loads((tmp_path / "parses" / "parser.json").read_text())
    assert (used["backend"], used["name"]) == ("benepar", "parser_letters")
    assert used["digest"] == parser_digest(folder_of("letters"))
    assert used["versions"].keys() == {"benepar", "spacy", "nltk", "torch", "transformers"}

    whole = {path.name: path.read_bytes() for path in (tmp_path / "parses").iterdir()}
    (journal,) = tmp_path.glob("kept/*/parses.jsonl")
    lines = journal.read_bytes().splitlines(keepends=True)
    parsed: list[list[str]] = []
    parses = parser_of(given["settings"], given["parser"]).parses

    class Watched:
        def parses(self, texts: Sequence[str]) -> Any:
            parsed.append(list(texts))
            return parses(texts)

    monkeypatch.setattr(diversity_parses, "parser_of", lambda *_: Watched())
    for kept, again in [
        (b"".join(lines[:4]), [TEXTS[4:8], TEXTS[8:12], TEXTS[12:]]),
        (b"".join(lines[:6]), [TEXTS[4:8], TEXTS[8:12], TEXTS[12:]]),  # a batch anew, as a whole
        (b"".join(lines[:13]) + lines[13][:9], [TEXTS[12:]]),
        (b"".join(lines), []),
    ]:
        shutil.rmtree(tmp_path / "parses")
        journal.write_bytes(kept)
        parsed.clear()
        diversity_parses.main(**given)
        assert parsed == again
        assert {p.name: p.read_bytes() for p in (tmp_path / "parses").iterdir()} == whole
        assert journal.read_bytes() == b"".join(lines)


def test_a_journal_of_other_instructions_is_refused(tmp_path: Path) -> None:
    from refine_af.diversity.parsing import parsed
    from refine_af.records.instructions import Instruction

    rows = [Instruction(**instruction(n)) for n in range(2)]
    kept = [{"id": f"i{n:06}", "parse": None, "reason": "empty"} for n in (0, 2)]
    for lines, said in [
        (kept, r"line 2: 'i000002' where 'i000001' belongs"),
        ([kept[0], kept[0] | {"id": "i000001"}, kept[1]], r"line 3: 'i000002' where None belongs"),
    ]:
        write_rows(tmp_path / "j.jsonl", lines)
        with Journal(tmp_path / "j.jsonl") as journal, pytest.raises(InputError, match=said):
            parsed(rows, lambda: pytest.fail("the parser is loaded"), journal, 4)


def flags(given: dict[str, Any]) -> list[str]:
    words: list[str] = []
    for name, value in given.items():
        words += [f"--{name}", value.model_dump_json() if name == "settings" else str(value)]
    return words


def test_kill_at_any_write(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    relative = {"progress": Path("kept"), "parses": Path("parses")}
    given = flags(asked(folder_of("letters"), tmp_path, **relative))
    root = tmp_path / "whole"
    root.mkdir()
    made = writes("diversity_parses", *given, root=root)
    wanted = {path.name: path.read_bytes() for path in (root / "parses").iterdir()}
    for number, (at, how) in enumerate(draws(made, "diversity")[-2:]):
        place = tmp_path / str(number)
        place.mkdir()
        killed("diversity_parses", *given, root=place, at=at, how=how)
        if (place / "parses").exists():
            shutil.rmtree(place / "parses")
        writes("diversity_parses", *given, root=place)
        assert {p.name: p.read_bytes() for p in (place / "parses").iterdir()} == wanted


@pytest.mark.slow
def test_nothing_is_downloaded_and_no_data_of_nltk_is_asked_for(
    folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """The script in a process of its own, where every attempt to connect ends it."""
    (tmp_path / "sitecustomize.py").write_text(
        "import socket, sys\n"
        "def connect(*_): sys.exit('a connection was tried')\n"
        "socket.socket.connect = socket.getaddrinfo = connect\n"
    )
    given = asked(folder_of("t5"), tmp_path)
    names = {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"}
    bare = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run(
        [sys.executable, diversity_parses.__file__, *flags(given)],
        env=bare | {"PYTHONPATH": str(tmp_path), "HOME": str(tmp_path), "NLTK_DATA": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "12 of 14 instructions parsed" in done.stdout
    assert not list(tmp_path.rglob("*nltk*"))


@pytest.mark.parametrize("flag", ["", "benepar", "spacy"])
def test_a_wrong_parser_ends_the_script_with_one_message(
    flag: str, tmp_path: Path, run_script: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    folder = with_files(
        tmp_path / "p", **(SOUND if flag == "spacy" else {"meta_json": "", "config_cfg": ""})
    )
    given = asked(folder, tmp_path, settings=settings(backend=flag or "benepar"))
    if not flag:
        shutil.rmtree(folder)
    done = run_script("diversity_parses", *flags(given))
    assert done.returncode == 1 and done.stderr.startswith(f"error: {folder}: no ")
    assert "Traceback" not in done.stderr and not (tmp_path / "parses").exists()
