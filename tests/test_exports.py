"""Exports: what others read is what the run made, whatever characters a model wrote."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import exports as script
from conftest import Script
from made_up_run import write_csv
from refine_af.errors import InputError
from refine_af.exports.card import card_of
from refine_af.exports.formats import alpaca, column_kinds, columns, counts_of, whole_characters
from refine_af.exports.markdown import plain_json
from refine_af.exports.provenance import Provenance, provenance
from refine_af.files.rows import write_records
from refine_af.jobs.command_line import canonical
from refine_af.records.instances import Instance
from refine_af.workflow.configuration import read_experiment
from tiny import ROOT

ODD = 'a\x00b\ud800\u2028\U0001f600 "quoted" | `x` \\ </script>\r\n é'
MENDED = ODD.replace("\ud800", "\ufffd")
ANY_TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates too


def instance(number: int, text: str = "", output: str = "four words are here") -> Instance:
    """Rewards of 0.25, 0.5, 0.75 ... in order."""
    pool = f"i{number:06d}"
    texts = (f"{pool}-0", pool, "refine-af", f"Name river {number}", text, output)
    components = {"reward_model": 1.5, "naturalness": 0.9, "coherence": 0.1 + 0.2}
    return Instance(*texts, "ab" * 32, (number + 1) / 4, components)


HEAD = "instructions,classification,parsed,kept"
ROWS = [instance(0), instance(1, "one two"), instance(2, ODD, ODD)]


@pytest.fixture
def origin() -> Provenance:
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    return provenance(read_experiment(config), "mistral-7b")


def made(folder: Path, origin: Provenance, rows: list[Instance] = ROWS) -> dict[str, Any]:
    """What the script is given: two segments, of 4 and 2 instructions, with `rows` in all."""
    write_records(folder / "refine-af.jsonl", rows)
    head = f"{HEAD},no output,surplus"
    write_csv(folder / "0" / "counts.csv", head, [(4, 1, 3, len(rows) - 1, 1, 7)])
    write_csv(folder / "1" / "counts.csv", head, [(2, 1, 1, 1, 1, 0)])
    return {
        "origin": origin,
        "method": "refine-af",
        "instances": folder / "refine-af.jsonl",
        "segments": [folder / "0", folder / "1"],
        "alpaca": folder / "out" / "alpaca.json",
        "dataset": folder / "out" / "dataset",
        "card": folder / "out" / "README.md",
    }


LOAD = """
import json, sys
from datasets import load_dataset
data = load_dataset(sys.argv[1], split="train", cache_dir=sys.argv[2])
kinds = {k: str(v) for k, v in data.features.items()}
print(json.dumps({"features": kinds, "rows": list(data)}))
"""


def loaded(folder: Path, cache: Path) -> Any:
    """What `datasets` finds in a folder, in a process that may not ask the hub."""
    command = [sys.executable, "-c", LOAD, str(folder), str(cache)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_the_data_set_is_read_whole_without_the_hub(origin: Provenance, tmp_path: Path) -> None:
    given = made(tmp_path, origin)
    script.main(**given)
    whole = loaded(tmp_path / "out", tmp_path / "cache")  # as the card's head names the files
    assert whole == loaded(given["dataset"], tmp_path / "second cache")
    texts = ["id", "instruction_id", "method", "instruction", "input", "output", "adapter_sha256"]
    texts.append("template")
    number = "Value('float64')"
    scores = ", ".join(f"'{name}': {number}" for name in ROWS[0].components)
    numbers = {"reward": number, "components": f"{{{scores}}}"}
    assert whole["features"] == dict.fromkeys(texts, "Value('string')") | numbers
    assert len(whole["rows"]) == 3
    assert whole["rows"][1] == vars(ROWS[1])
    assert whole["rows"][2] == vars(ROWS[2]) | {"input": MENDED, "output": MENDED}

    text = given["alpaca"].read_text(encoding="utf-8")
    assert json.loads(text) == [
        {"instruction": "Name river 0", "input": "", "output": "four words are here"},
        {"instruction": "Name river 1", "input": "one two", "output": "four words are here"},
        {"instruction": "Name river 2", "input": MENDED, "output": MENDED},
    ]


def test_the_command_line_writes_the_same_bytes_again(
    run_script: Script, origin: Provenance, tmp_path: Path
) -> None:
    given = made(tmp_path, origin)
    script.main(**given)
    out = tmp_path / "again"
    places = {"alpaca": out / "alpaca.json", "dataset": out / "dataset", "card": out / "README.md"}
    words: list[object] = []
    for name, value in (given | places | {"origin": canonical(origin)}).items():
        words += [f"--{name}", *value] if isinstance(value, list) else [f"--{name}", value]
    done = run_script("exports", *words)
    assert done.returncode == 0, done.stderr
    assert "3 instances, 1 of them with half a character replaced" in done.stdout
    files = [path.relative_to(out) for path in out.rglob("*") if path.is_file()]
    names = ["README.md", "alpaca.json", "dataset/train-00000-of-00001.parquet"]
    assert sorted(map(str, files)) == names
    for file in files:
        assert (out / file).read_bytes() == (tmp_path / "out" / file).read_bytes()


def test_the_card_tells_the_runs_own_numbers(origin: Provenance, tmp_path: Path) -> None:
    given = made(tmp_path, origin)
    script.main(**given)
    text = given["card"].read_text(encoding="utf-8")
    for line in [
        "3 triplets of instruction, input and output",
        "| instructions asked for | 6 |  |",
        "| replies that held a pair | 4 | 66.7% |",
        "| instructions with an instance | 3 | 50.0% |",
        "| of these without input | 1 | 33.3% |",
        "| of these as classification tasks, output first | 2 | 33.3% |",
        "| no output | the reply names neither an example nor an output, or no class label | 2 |",
        "| surplus | sound, beyond the pairs that are kept of an instruction | 7 |",
        "| instruction | 3 | 3.0 | 0.0 | 3.0 | 3.0 | 3.0 |",
        # .25, .5, .75: the standard deviation is that of the population, sqrt(1/24)
        "| `reward` | 0.5000 | 0.2041 | 0.2500 | 0.5000 | 0.7500 |",
        "| `naturalness` | 0.9000 | 0.0000 | 0.9000 | 0.9000 | 0.9000 |",
        "The components are given by `refine_af.rewards.scorer.Scorer`: model `OpenAssistant/oasst",
        "1 instances held half a character",
        "| model | `mistralai/Mistral-7B-v0.1@7231864981174d9bee8c7687c24c8344414eae6b` |",
        "| what models are tuned on | A size has the first instructions of the pool. |",
        "| seed of the pairs | 42 |",
        f"| sha256 of the adapter's weights | `{'ab' * 32}` |",
        "comes under the terms of that model, `mistralai/Mistral-7B-v0.1@",
    ]:
        assert line in text, line
    settings = json.loads(text.split("```json\n")[1].split("\n```")[0])
    assert settings["instances"] == origin.instances.model_dump(mode="json")
    assert settings["reward"]["weights"]["naturalness"] == 0.3212
    assert "Apache" not in text and "MIT" not in text, "no licence is made up"


def test_the_cards_head_is_what_the_hub_reads(origin: Provenance) -> None:
    from huggingface_hub import DatasetCard

    counts = {"instructions": 3, "classification": 0, "parsed": 3, "kept": 3}
    for count, size in ((3, "n<1K"), (1_000, "1K<n<10K"), (30_000, "10K<n<100K")):
        text = card_of(
            origin,
            "refine-af",
            ROWS * (count // 3) + ROWS[: count % 3],
            counts,
            data_file="dataset/x.parquet",
            mended=0,
        )
        head = DatasetCard(text).data.to_dict()
        assert head["size_categories"] == [size]
        assert head["license"] == "other"
        assert head["configs"] == [
            {
                "config_name": "default",
                "data_files": [{"split": "train", "path": "dataset/x.parquet"}],
            }
        ]
    assert "output_first_prompt.txt" not in text
    # The untouched backbone has no adapter and no PPO, but the same judges.
    text = card_of(origin, "self-instruct", ROWS, counts, data_file="x", mended=0)
    settings = json.loads(text.split("```json\n")[1].split("\n```")[0])
    assert list(settings) == ["instances", "instructions", "reward"]
    told = json.dumps(settings, indent=2, sort_keys=True)
    assert f"```json\n{told}\n```" in text, "in whichever order the settings' fields stand"
    assert "seed of PPO" not in text and "No instance held half a character" in text


def test_the_card_tells_how_classification_tasks_were_asked(origin: Provenance) -> None:
    branch = origin.instances.classification
    assert branch is not None
    own = {"classification": branch.model_copy(update={"methods": ("self-instruct",)})}
    told = origin.model_copy(update={"instances": origin.instances.model_copy(update=own)})
    counts = {"instructions": 3, "classification": 1, "parsed": 3, "kept": 3}
    asked = "| prompt for their pairs | `output_first_prompt.txt` |"
    for method, says in (("self-instruct", True), ("refine-af", False)):
        text = card_of(told, method, ROWS, counts, data_file="x", mended=0)
        assert (asked in text) is says
        assert ("tells classification tasks | `classification_prompt.txt` |" in text) is says


@pytest.mark.parametrize(
    "name", ["x\n---\nlicense: mit", "a: b #c", "half \ud83d", "\u2028\0\ufeff", "é " * 80, "yes"]
)
def test_no_name_can_break_the_cards_head(origin: Provenance, name: str) -> None:
    from huggingface_hub import DatasetCard

    odd = origin.model_copy(update={"model": name})
    counts = {"instructions": 3, "classification": 0, "parsed": 3, "kept": 3}
    text = card_of(odd, "refine-af", ROWS, counts, data_file=f"{name}/x.parquet", mended=0)
    head = text.partition("\n---\n")[0] + "\n---\n"
    found = DatasetCard(head).data.to_dict()
    assert (found["license"], found["pretty_name"]) == ("other", f"{name}, refine-af")
    assert found["configs"][0]["data_files"][0]["path"] == f"{name}/x.parquet"
    assert head.encode()  # half a character, which no file could hold, is escaped


def test_a_checkpoints_name_cannot_break_the_card(origin: Provenance) -> None:
    odd = origin.model_copy(update={"checkpoint": "my`model|x\n---\n# y", "seeds": "``` a"})
    counts = {"instructions": 3, "classification": 0, "parsed": 3, "kept": 3}
    text = card_of(odd, "refine-af", ROWS, counts, data_file='a"b', mended=0)
    assert yaml.safe_load(text.split("---\n")[1])["configs"][0]["data_files"][0]["path"] == 'a"b'
    assert "\n# y" not in text.replace("# mistral-7b", "")
    assert "| model | `` my`model\\|x --- # y `` |" in text


@given(texts=st.lists(ANY_TEXT, min_size=3, max_size=3))
def test_any_text_is_valid_afterwards_and_else_untouched(texts: list[str]) -> None:
    names = ("instruction", "input", "output")
    instruction, given, output = texts
    row = Instance("i", "i", "m", instruction, given, output, "", 0.0, {"a": 0.0})
    found = whole_characters([row])
    (entry,) = alpaca(found.instances)
    for name, text in zip(names, texts, strict=True):
        entry[name].encode("utf-8")
        assert len(entry[name]) == len(text)
        assert all(
            a == b or "\ud800" <= b <= "\udfff" for a, b in zip(entry[name], text, strict=True)
        )
    broken = any("\ud800" <= sign <= "\udfff" for text in texts for sign in text)
    assert found.mended == int(broken)
    assert columns(found.instances)["output"] == [entry["output"]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"{HEAD}\n", "0 rows of counts"),
        (f"{HEAD}\n1,0,2,-3\n", "'kept' is no count: '-3'"),
        (f"{HEAD}\n1,0,2\n", "'kept' is no count: None"),
        ("instructions,classification,kept\n1,0,2\n", "no column 'parsed'"),
        ("instructions,parsed,kept\n1,1,2\n", "no column 'classification'"),
        (f"{HEAD}\n2,0,2,2\n", "count 2 instances, not 3"),
        (f"{HEAD}\n2,0,2,\ufffd\n", "'kept' is no count"),
        (f"{HEAD}\n2,0,2,{'9' * 140_000}\n", "no table of counts: field larger"),
    ],
)
def test_odd_counts_are_named(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "counts.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as error:
        counts_of([path], 3)
    assert str(path) in str(error.value)


def test_instances_of_two_scorers_are_no_data_set() -> None:
    other = replace(ROWS[1], components={"brief": 1.0})
    with pytest.raises(
        InputError, match="i000001-0 has the components brief, and others before it have r"
    ):
        column_kinds([ROWS[0], other])


@pytest.mark.parametrize("score", [float("nan"), float("inf"), 10**400])
def test_a_score_that_is_no_number_is_named(score: float) -> None:
    rows = [replace(ROWS[1], reward=score), replace(ROWS[1], components=ROWS[1].components)]
    with pytest.raises(InputError, match=r"i000001-0 has the scores \{'reward': "):
        column_kinds(rows)
    rows[0] = replace(ROWS[1], components=ROWS[1].components | {"naturalness": score})
    with pytest.raises(InputError, match=r"i000001-0 has the scores \{'naturalness': "):
        column_kinds(rows)


def test_the_card_tells_no_path_of_this_machine() -> None:
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    home = "/home/someone"
    config["models"] = {"mine": {"checkpoint": f"{home}/my|model"}}
    config["servers"], config["ratings"]["files"] = {}, {}
    config["data"]["seeds"] = f"{home}/seeds.jsonl"
    config["prompts"]["instances"] = "../../someone/prompt.txt"
    config["reward"]["model"] = f"{home}/judge/"
    told = provenance(read_experiment(config), "mine")
    counts = {"instructions": 3, "classification": 0, "parsed": 3, "kept": 3}
    text = card_of(told, "refine-af", ROWS, counts, data_file="a", mended=0)
    assert "someone" not in text
    assert "| model | `my\\|model` |" in text
    assert "the terms of that model, `my|model`." in text
    assert "model `judge`, evaluator `MingZhong/unieval-dialog@" in text
    assert "The seed tasks (`seeds.jsonl`) and the prompt (`prompt.txt`)" in text


def test_flags_that_name_nothing_are_refused(origin: Provenance, tmp_path: Path) -> None:
    given = made(tmp_path, origin)
    with pytest.raises(InputError, match="--method 'alpaca': known are self-instruct, refine-af"):
        script.main(**given | {"method": "alpaca"})
    with pytest.raises(InputError, match="--segments: none is named"):
        script.main(**given | {"segments": []})
    assert not (tmp_path / "out").exists()


def test_nothing_to_export_is_said(origin: Provenance, tmp_path: Path) -> None:
    given = made(tmp_path, origin)
    (tmp_path / "refine-af.jsonl").write_text("")
    with pytest.raises(InputError, match=r"refine-af\.jsonl: holds no instance to export"):
        script.main(**given)
    assert not given["card"].exists() and not given["dataset"].exists()


@given(st.text())
def test_an_example_on_a_card_is_json_of_the_very_text(text: str) -> None:
    shown = plain_json({"output": text})
    assert json.loads(shown) == {"output": text}
    assert all(letter == "\n" or letter.isprintable() for letter in shown)


def test_letters_of_every_script_are_read_and_what_hides_is_told_by_number() -> None:
    assert plain_json("写一个故事 مرحبا \U0001f600 é") == '"写一个故事 مرحبا \U0001f600 é"'
    hidden = "\u202e\u200b\u3164\ufe0f\U000e0061\U000e0100\u00a0\x1b"
    assert plain_json(hidden) == json.dumps(hidden)
