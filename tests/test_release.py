"""The release: one data set of all models and methods, that others load, with a true card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

import release as script
from conftest import Script
from made_up_run import write_csv
from refine_af.errors import InputError
from refine_af.exports.provenance import Publication, Source
from refine_af.files.rows import write_records
from refine_af.jobs.command_line import canonical
from refine_af.records.diversity import VerbNoun
from refine_af.records.human_tasks import Seed
from refine_af.records.instances import Instance
from refine_af.records.instructions import Instruction
from refine_af.records.neighbours import Neighbours
from refine_af.records.overlap import Overlap
from refine_af.release.part import drawn
from refine_af.settings.release import Release
from refine_af.workflow.configuration import read_experiment
from refine_af.workflow.publication import publication
from tiny import ROOT

MODELS, METHODS = ["one", "two"], ["self-instruct", "refine-af"]
ODD = 'a\x00b\ud800\u2028\U0001f600 "quoted" | `x` \\ </script> ```\n---\nlicense: mit\r\n é\u202e'
MENDED = ODD.replace("\ud800", "\ufffd")
SEEDS = [Seed("seed_0", "Name a river of the south."), Seed("seed_1", "Sort the words.")]
SETTINGS = Release(
    title="Made-up\n# data",
    language="en",
    license="other",
    licenses={},
    rows_per_file=2,
    seed=0,
    examples=1,
)
ORIGIN = Publication(
    sources=(
        Source(role="seed tasks", name="seeds.jsonl", license="apache-2.0"),
        Source(role="wrote one", name="my`model|x", license=None),
    ),
    settings={
        "sizes": [3],
        "ppo": {"algorithm": "grpo"},
        "diversity": {"backend": "benepar"},
        "data": {"seeds": "seeds.jsonl"},
    },
)
CITATION = "@misc{roy2025refineaf,\n  eprint = {2505.06548}\n}\n"


def instruction(place: int, text: str) -> Instruction:
    near = "i000000" if place else "seed_1"
    return Instruction(
        f"i{place:06}", text, 0, place, ["seed_1"], near, 0.5, "seed_0", 0.25, 90, 40
    )


def instance(model: str, method: str, place: int, given: str, output: str) -> Instance:
    identity = f"i{place:06}"
    scores = {"reward_model": place + 0.5, "naturalness": 0.1 + 0.2}
    adapter = "ab" * 32 if method == "refine-af" else ""
    texts = (f"Sort {place} words.", given, output, adapter)
    told = (*texts, (place + 1) / 4, scores, "input first")
    return Instance(f"{identity}-0", identity, method, *told)


def overlap(row: Instance) -> Overlap:
    found = row.id.startswith("i000001")
    return Overlap(row.id, 3 * found, "t" if found else None, 0.125, None, 0.0, None, found)


@dataclass
class Data:
    """Two models, a pool of three instructions each, and a row of each by both methods.

    Rewards are 0.25, 0.5, 0.75; the last two rows say the same, and the second overlaps.
    """

    pools: dict[str, list[Instruction]] = field(
        default_factory=lambda: {
            model: [instruction(n, f"Sort {n} words.") for n in range(3)] for model in MODELS
        }
    )
    written: dict[tuple[str, str], list[Instance]] = field(
        default_factory=lambda: {
            (model, method): [
                instance(model, method, 0, "", "four words are here"),
                instance(model, method, 1, "one two", "Yes."),
                instance(model, method, 2, "three", "Yes."),
            ]
            for model in MODELS
            for method in METHODS
        }
    )
    overlaps: Callable[[list[Instance]], list[Overlap]] = lambda rows: [*map(overlap, rows)]

    def write(self, folder: Path, backbone: Path) -> dict[str, Any]:
        """The files, and what the script is given; of each model and method two segments."""
        write_records(folder / "seeds.jsonl", SEEDS)
        for model, pool in self.pools.items():
            write_records(folder / f"instructions_{model}.jsonl", pool)
            near = [Neighbours(row.id, row.nearest_seed, 0.25, None, None) for row in pool]
            if pool:
                near[0] = replace(near[0], nearest_reference="Sort 9 w.", reference_rouge_l=0.5)
            write_records(folder / f"neighbours_{model}.jsonl", near)
            said = [VerbNoun(row.id, "sort", "word", None) for row in pool]
            said[2:] = [VerbNoun(row.id, "sort", None, "objectless") for row in pool[2:]]
            write_records(folder / f"diversity_{model}" / "verb_nouns.jsonl", said)
        for (model, method), rows in self.written.items():
            place = folder / f"{model}_{method}"
            write_records(folder / f"{place}.jsonl", rows)
            head = "instructions,classification,parsed,kept,no output,surplus"
            first, last = rows[:2], rows[2:]
            write_csv(place / "0" / "counts.csv", head, [(3, 0, 3, len(first), 1, 7)])
            write_csv(place / "1" / "counts.csv", head, [(1, 0, 1, len(last), 1, 0)])
            found = self.overlaps(rows)
            write_records(place / "0.jsonl", found[:2])
            write_records(place / "1.jsonl", found[2:])
        (folder / "figures").mkdir(exist_ok=True)
        for name in ("lengths_one.png", "ppo_one.png", "lengths_one.csv"):
            (folder / "figures" / name).write_bytes(b"\x89PNG " + name.encode())
        (folder / "prompt.txt").write_text("Do {instruction}\n")
        (folder / "citation.bib").write_text(CITATION)
        parts = [folder / f"{model}_{method}" for model in MODELS for method in METHODS]
        return {
            "settings": SETTINGS,
            "origin": ORIGIN,
            "models": MODELS,
            "methods": METHODS,
            "seeds": folder / "seeds.jsonl",
            "backbones": [backbone, backbone],
            "instructions": [folder / f"instructions_{model}.jsonl" for model in MODELS],
            "neighbours": [folder / f"neighbours_{model}.jsonl" for model in MODELS],
            "diversity": [folder / f"diversity_{model}" for model in MODELS],
            "instances": [Path(f"{part}.jsonl") for part in parts],
            "segments": [part / number for part in parts for number in ("0", "1")],
            "overlaps": [part / f"{number}.jsonl" for part in parts for number in ("0", "1")],
            "prompt_names": ["instances"],
            "prompts": [folder / "prompt.txt"],
            "figures": [folder / "figures"],
            "citation": folder / "citation.bib",
            "release": folder / "release",
        }


@pytest.fixture(scope="module")
def released(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release of the data, whose last row by the last model and method holds anything."""
    data = Data()
    rows = data.written["two", "refine-af"]
    rows[2] = replace(rows[2], instruction=ODD, input=ODD, output=ODD)
    given = data.write(tmp_path_factory.mktemp("release"), tiny_llama)
    script.main(**given)
    place: Path = given["release"]
    return place


def test_the_folder_holds_what_its_card_names(released: Path) -> None:
    names = {str(path.relative_to(released)) for path in released.rglob("*") if path.is_file()}
    parts = [f"{model}_{method}" for model in MODELS for method in METHODS]
    files = {f"{part}/train-0000{n}-of-00002.parquet" for part in parts for n in (0, 1)}
    files |= {"README.md", "LICENSE.md", "config.yaml", "citation.bib", "prompts/instances.txt"}
    assert names == files | {"figures/lengths_one.png", "figures/ppo_one.png"}
    assert yaml.safe_load((released / "config.yaml").read_text()) == ORIGIN.settings


def expected(model: str, method: str) -> dict[str, Any]:
    """The second row of each part; its tokens are counted elsewhere."""
    asked = "Sort 1 words."
    return {
        "id": "i000001-0",
        "instruction_id": "i000001",
        "model": model,
        "method": method,
        "instruction": asked,
        "input": "one two",
        "output": "Yes.",
        "messages": [
            {"role": "user", "content": "Sort 1 words.\n\none two"},
            {"role": "assistant", "content": "Yes."},
        ],
        "reward": 0.5,
        "score_reward_model": 1.5,
        "score_naturalness": 0.1 + 0.2,
        "nearest_id": "i000000",
        "nearest_instruction": "Sort 0 words.",
        "nearest_rouge_l": 0.5,
        "nearest_seed_id": "seed_0",
        "nearest_seed": "Name a river of the south.",
        "seed_rouge_l": 0.25,
        "nearest_reference": None,
        "reference_rouge_l": None,
        "instruction_words": 3,
        "input_words": 2,
        "output_words": 1,
        "overlaps": True,
        "overlap_ngrams": 3,
        "overlap_instruction_rouge_l": 0.125,
        "overlap_input_rouge_l": 0.0,
        "verb": "sort",
        "noun": "word",
        "language": "en",
        "template": "input first",
        "adapter_sha256": "ab" * 32 if method == "refine-af" else "",
    }


def test_datasets_loads_each_model_and_method(
    released: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    from datasets import get_dataset_config_names, load_dataset
    from transformers import AutoTokenizer

    parts = [f"{model}_{method}" for model in MODELS for method in METHODS]
    assert get_dataset_config_names(str(released), cache_dir=str(tmp_path)) == parts
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    kinds = []
    for model in MODELS:
        for method in METHODS:
            found = load_dataset(str(released), f"{model}_{method}", cache_dir=str(tmp_path))
            data = found["train"]
            kinds.append(data.features)
            assert list(data["id"]) == ["i000000-0", "i000001-0", "i000002-0"]
            row = dict(data[1])
            for name in ("instruction", "input", "output"):
                ids = tokenizer(row[name], add_special_tokens=False)["input_ids"]
                assert row.pop(f"{name}_tokens") == len(ids)
            assert row == expected(model, method)
            assert data[0]["messages"][0]["content"] == "Sort 0 words."
            assert data[0]["nearest_seed"] == "Name a river of the south."
            assert data[0]["nearest_instruction"] == "Sort the words."
    assert all(each == kinds[0] for each in kinds)
    assert (data[2]["verb"], data[2]["noun"]) == ("sort", None)
    assert data[2]["output"] == data[2]["messages"][1]["content"] == MENDED


def test_pandas_reads_a_part_by_its_folder(released: Path) -> None:
    frame = pd.read_parquet(released / "one_refine-af")
    assert list(frame["reward"]) == [0.25, 0.5, 0.75]
    assert list(frame["overlaps"]) == [False, True, False]
    assert frame["nearest_reference"].iloc[0] == "Sort 9 w." and frame["reward"].dtype == float
    other = pd.read_parquet(released / "two_self-instruct")
    assert frame.dtypes.to_dict() == other.dtypes.to_dict()
    assert set(other["method"]) == {"self-instruct"} and set(frame["model"]) == {"one"}


def test_the_card_tells_the_rows_own_numbers(released: Path) -> None:
    text = (released / "README.md").read_text(encoding="utf-8")
    for line in [
        "12 triplets of instruction, input and output, all written by language models: `one`, ",
        'load_dataset("path/to/this/folder", "one_self-instruct", split="train")',
        "| `one_refine-af` | 3 | 3 | 4 | 1 | 2 |",
        "| `one_self-instruct` | 3.0 | 1.5 | 2.0 |",  # words; inputs of one and two
        "| `one_self-instruct` | reward | 0.500 | 0.204 | 0.250 | 0.500 | 0.750 |",
        "| `two_refine-af` | ROUGE-L with the nearest seed | 0.250 | 0.000 |",
        "| `one_refine-af` | 1 of 3 (33.3%) | 1 of 3 (33.3%) | 1 of 4 (25.0%) | 0 |",
        "| `two_refine-af` | 1 of 3 (33.3%) | 0 of 3 (0.0%) | 1 of 4 (25.0%) | 1 |",
        "By `refine-af` it is taught that first, by GRPO on automated feedback",
        "A model's methods write to the same instructions: a split by rows leaks.",
        "| no output | the reply names neither an example nor an output, or no class label | 2 |",
        "| seed tasks | `seeds.jsonl` | `apache-2.0` |",
        "| wrote one | `` my`model\\|x `` | not stated |",
        "in words: one:\n\n![lengths_one.png](figures/lengths_one.png)",
        "`score_reward_model`, `score_naturalness`",
        "`en`, as who made this release states; no text was looked at",
        "```bibtex\n@misc{roy2025refineaf,",
    ]:
        assert line in text, line


def test_the_cards_head_is_what_the_hub_reads(released: Path) -> None:
    from huggingface_hub import DatasetCard

    head = DatasetCard((released / "README.md").read_text(encoding="utf-8")).data.to_dict()
    assert head["pretty_name"] == "Made-up # data" and head["language"] == ["en"]
    assert (head["license"], head["license_link"]) == ("other", "LICENSE.md")
    assert head["size_categories"] == ["n<1K"] and head["source_datasets"] == ["original"]
    assert [part["config_name"] for part in head["configs"]] == [
        f"{model}_{method}" for model in MODELS for method in METHODS
    ]
    assert "not stated" in (released / "LICENSE.md").read_text()


@pytest.mark.slow
def test_no_text_that_a_model_wrote_is_markup(tiny_llama: Path, tmp_path: Path) -> None:
    data = Data()
    hostile = f"{ODD}{'long ' * 300}"
    for key, rows in data.written.items():
        data.written[key] = [replace(row, instruction=ODD, output=hostile) for row in rows]
    given = data.write(tmp_path, tiny_llama)
    script.main(**given)
    card = (given["release"] / "README.md").read_text(encoding="utf-8")
    shown = card.split("## Examples")[1].split("## Lengths")[0]
    assert shown.count("\n````json\n") == 4 and "\n---" not in shown
    assert all(letter == "\n" or letter.isprintable() for letter in shown)
    assert "\\u2028" in shown and "\\u202e" in shown and "\U0001f600" in shown, "read as written"
    first = json.loads(shown.split("````json\n")[1].split("\n````")[0])
    assert first["instruction"] == MENDED and len(first["output"]) == 600
    assert first["output"].endswith("…")


def test_the_command_line_writes_the_same_bytes_again(
    run_script: Script, released: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    data = Data()
    rows = data.written["two", "refine-af"]
    rows[2] = replace(rows[2], instruction=ODD, input=ODD, output=ODD)
    given = data.write(tmp_path, tiny_llama)
    words: list[object] = []
    for name, value in given.items():
        if isinstance(value, Release | Publication):
            value = canonical(value)
        words += [f"--{name.replace('_', '-')}", *(value if isinstance(value, list) else [value])]
    done = run_script("release", *words)
    assert done.returncode == 0, done.stderr
    assert "12 rows in 4 parts" in done.stdout
    for path in released.rglob("*"):
        again = given["release"] / path.relative_to(released)
        assert path.is_dir() or path.read_bytes() == again.read_bytes(), path


@pytest.mark.slow
def test_a_part_without_a_row_is_left_out_and_said(tiny_llama: Path, tmp_path: Path) -> None:
    data = Data()
    data.written["one", "self-instruct"] = []
    given = data.write(tmp_path, tiny_llama)
    script.main(**given | {"settings": SETTINGS.model_copy(update={"language": None})})
    text = (given["release"] / "README.md").read_text(encoding="utf-8")
    head = yaml.safe_load(text.split("---\n")[1])
    names = [part["config_name"] for part in head["configs"]]
    assert names == ["one_refine-af", "two_self-instruct", "two_refine-af"]
    assert "language" not in head and "| `language` | null: none is stated |" in text
    assert "No instance was kept of `one_self-instruct`: there is nothing to load." in text
    assert "| `one_self-instruct` | 0 | 0 | 4 | 0 | 0 |" in text
    assert not (given["release"] / "one_self-instruct").exists()
    assert pd.read_parquet(given["release"] / "one_refine-af")["language"].isna().all()


@pytest.mark.slow
def test_one_method_alone_is_told_as_one(tiny_llama: Path, tmp_path: Path) -> None:
    data = Data()
    for model in MODELS:
        data.written[model, "refine-af"] = []
    given = data.write(tmp_path, tiny_llama)
    script.main(**given)
    alone = (given["release"] / "README.md").read_text(encoding="utf-8")
    assert "By `self-instruct` it does so as it was." in alone
    assert "By `refine-af`" not in alone and "a split by rows leaks" not in alone


@pytest.mark.slow
def test_without_parses_verb_and_noun_are_null_and_that_is_said(
    tiny_llama: Path, tmp_path: Path
) -> None:
    given = Data().write(tmp_path, tiny_llama) | {"diversity": []}
    told = ORIGIN.model_copy(update={"settings": ORIGIN.settings | {"diversity": None}})
    script.main(**given | {"origin": told})
    frame = pd.read_parquet(given["release"] / "two_refine-af")
    assert frame["verb"].isna().all() and frame["noun"].isna().all()
    text = (given["release"] / "README.md").read_text(encoding="utf-8")
    assert "Nothing was parsed: `verb` and `noun` are null in every row." in text
    assert "| `two_refine-af` | 3 | 3 | 4 | – | 2 |" in text


@pytest.mark.slow
def test_without_overlaps_and_figures_that_is_said(tiny_llama: Path, tmp_path: Path) -> None:
    given = Data().write(tmp_path, tiny_llama) | {"overlaps": [], "figures": []}
    script.main(**given)
    frame = pd.read_parquet(given["release"] / "two_refine-af")
    columns = ["overlaps", "overlap_ngrams"]
    columns += ["overlap_instruction_rouge_l", "overlap_input_rouge_l"]
    assert list(frame["reward"]) == [0.25, 0.5, 0.75] and frame[columns].isna().all(axis=None)
    text = (given["release"] / "README.md").read_text(encoding="utf-8")
    assert "No row was compared with the texts that models are evaluated on" in text
    assert "| `two_refine-af` | not compared | 1 of 3 (33.3%) |" in text
    assert "## Figures" not in text and not (given["release"] / "figures").exists()


def other_components(data: Data) -> None:
    rows = data.written["two", "self-instruct"]
    rows[1] = replace(rows[1], components={"brief": 1.0})


def unknown_instruction(data: Data) -> None:
    rows = data.written["one", "refine-af"]
    rows[0] = replace(rows[0], instruction_id="i000009")


def overlaps_in_another_order(data: Data) -> None:
    data.overlaps = lambda rows: [overlap(row) for row in reversed(rows)]


def nothing_at_all(data: Data) -> None:
    data.written = {key: [] for key in data.written}


FAULTS: dict[str, tuple[Callable[[Data], None], str]] = {
    "components": (other_components, "i000001-0 has the components brief, and others before it"),
    "instruction": (unknown_instruction, "one, refine-af: i000000-0 is of instruction 'i000009'"),
    "order": (overlaps_in_another_order, "one_self-instruct, row 1: 'i000002-0' where 'i000000-"),
    "nothing": (nothing_at_all, "--instances: hold no instance to release"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_what_does_not_belong_together_is_named(
    name: str, tiny_llama: Path, tmp_path: Path
) -> None:
    edit, said = FAULTS[name]
    data = Data()
    edit(data)
    given = data.write(tmp_path, tiny_llama)
    with pytest.raises(InputError, match=said):
        script.main(**given)
    assert not given["release"].exists()


@pytest.mark.slow
def test_files_that_are_no_models_are_named(tiny_llama: Path, tmp_path: Path) -> None:
    given = Data().write(tmp_path, tiny_llama)
    with pytest.raises(InputError, match="--backbones: 1 paths cannot be shared out among"):
        script.main(**given | {"backbones": [tiny_llama]})
    with pytest.raises(InputError, match="--method 'alpaca': known are"):
        script.main(**given | {"methods": ["alpaca", "refine-af"]})
    shutil.copy(tmp_path / "neighbours_one.jsonl", tmp_path / "short.jsonl")
    lines = (tmp_path / "short.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "short.jsonl").write_text("".join(lines[:2]))
    with pytest.raises(InputError, match=r"short\.jsonl, row 3: None where 'i000002' belongs"):
        script.main(**given | {"neighbours": [tmp_path / "short.jsonl"] * 2})


def test_fewer_examples_are_among_those_of_more() -> None:
    some, more = drawn(100, 3, 0, "one"), drawn(100, 10, 0, "one")
    assert len(some) == 3 and some < more and drawn(100, 3, 1, "one") != some
    assert drawn(2, 10, 0, "one") == {0, 1}


# ---- what is told of the run ----------------------------------------------------------------


def shipped() -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())
    return config


def test_licences_are_those_that_config_yaml_states() -> None:
    told = publication(read_experiment(shipped()))
    found = {source.name.partition("@")[0]: source.license for source in told.sources}
    assert found["meta-llama/Llama-2-7b-hf"] == "llama2"
    assert found["seed_tasks.jsonl"] == "apache-2.0"
    assert found["MingZhong/unieval-dialog"] is None
    # Another checkpoint does not take the licence of the one in whose place it stands.
    config = shipped()
    config["models"]["mistral-7b"]["checkpoint"] = "someone/else@0123456789"
    told = publication(read_experiment(config))
    assert [s.license for s in told.sources if s.role == "wrote mistral-7b"] == [None]


def test_no_path_of_this_machine_is_told() -> None:
    config = shipped()
    home = "/home/someone"
    config["models"] = {"mine": {"checkpoint": f"{home}/my|model"}}
    config["servers"], config["ratings"]["files"] = {}, {"mine": [f"{home}/anna.json"]}
    config["data"]["seeds"] = f"{home}/seeds.jsonl"
    config["prompts"]["instances"] = "../../someone/prompt.txt"
    config["prompts"]["baselines"] = {"base": "~/someone/base.txt"}
    config["reward"]["model"] = f"{home}/judge/"
    config["neighbours"]["references"] = f"{home}/references.jsonl"
    config["fetch"] |= {"mirror": f"{home}/mirror", "superni_digests": f"{home}/digests"}
    told = canonical(publication(read_experiment(config)))
    assert "someone" not in told
    for name in (
        "my|model",
        "seeds.jsonl",
        "prompts/instances.txt",
        "base.txt",
        "judge",
        "references.jsonl",
        "digests",
    ):
        assert f'"{name}"' in told, name


def test_what_decides_no_row_is_not_told() -> None:
    config = shipped()
    before = canonical(publication(read_experiment(config)))
    config["compute"]["ppo"]["mem_mb"] = 1
    config["watch"]["instances"]["patience"] = 9
    config["fetch"] |= {"timeout_s": 1, "attempts": 1}
    assert canonical(publication(read_experiment(config))) == before
    config["instances"]["seed"] = 9
    assert canonical(publication(read_experiment(config))) != before


def test_the_citation_is_of_this_version() -> None:
    cited = (ROOT / "resources" / "release" / "citation.bib").read_text(encoding="utf-8")
    version = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"]
    assert f"version = {{{version}}}" in cited
    assert "(resources/release/citation.bib)" in (ROOT / "README.md").read_text(encoding="utf-8")
