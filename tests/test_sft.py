"""Fine-tuning: how instances are written down, what is learned from them, and the adapter."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

import sft as script
from refine_af.documents import read_document
from refine_af.errors import InputError
from refine_af.records import Instance, write_records
from refine_af.settings import Sft
from refine_af.sft import Encodings, encoded, encodings_of, examples, within, without_label
from tiny import ROOT

Script = Callable[..., "subprocess.CompletedProcess[str]"]
PAPER = ROOT / "resources" / "prompts" / "sft.json"
DEMO = ROOT / "demo" / "prompts" / "sft.json"
LORA = {"r": 8, "alpha": 16, "dropout": 0.0, "targets": "all-linear"}


def settings(**changes: object) -> Sft:
    section = yaml.safe_load((ROOT / "config.yaml").read_text())["sft"]
    return Sft.model_validate(section | {"quantization": "none", "lora": LORA} | changes)


def instance(number: int, instruction: str = "Sort", text: str = "", output: str = "a") -> Instance:
    pool = f"i{number:06d}"
    scores = (0.1, 1.5, 0.9, 0.8, 0.7)
    return Instance(f"{pool}-0", pool, "refine-af", instruction, text, output, "0" * 64, *scores)


@pytest.fixture(scope="module")
def paper() -> Encodings:
    return encodings_of(read_document(PAPER), PAPER)


def test_every_encoding_of_self_instruct_is_drawn(paper: Encodings) -> None:
    chosen = settings(strip_label_share=0.0)
    drawn: Counter[tuple[str, str]] = Counter()
    for number in range(700):
        for text in (" X ", "\n"):
            example = encoded(instance(number, " I\n", text, " O "), paper, chosen)
            assert example.has_input is (text == " X ")
            drawn[example.prompt, example.completion] += 1
    assert set(drawn) == {
        ("I\nInput: X\nOutput:", " O"),
        ("I\n\nInput: X\n\nOutput:", " O"),
        ("Task: I\nInput: X\nOutput:", " O"),
        ("I\n\nX\n\nOutput:", " O"),
        ("I\n\nX\n\n", "O"),
        ("I\nX\n\n", "O"),
        ("Task: I\n\nX\n\n", "O"),
        ("I Output:", " O"),
        ("I\nOutput:", " O"),
        ("I\n\nOutput:", " O"),
        ("I\n", "O"),
        ("I\n\n", "O"),
        ("Task: I\n\n", "O"),
    }
    assert min(drawn.values()) > 70  # of 700, an encoding with input gets 100 and one without 117


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Text: a b", "a b"),
        ("Text: a\nText: b", "a\nText: b"),  # one distinct label
        ("Question: a\nAnswer: b", "Question: a\nAnswer: b"),
        ("at 12:30 sharp", "30 sharp"),  # what looks like a label to the source's pattern goes too
        ("a : b", "a : b"),
        (" a\n\nb ", "a\nb"),
        ("", ""),
    ],
)
def test_the_only_label_of_an_input_goes(text: str, expected: str) -> None:
    assert without_label(text) == expected


def test_the_share_of_inputs_that_lose_their_label(paper: Encodings) -> None:
    def kept(share: float) -> int:
        chosen = settings(strip_label_share=share)
        rows = (encoded(instance(number, "I", "Text: X"), paper, chosen) for number in range(1000))
        return sum("Text:" in row.prompt for row in rows)

    assert (kept(0.0), kept(1.0)) == (1000, 0)
    assert 440 < kept(0.5) < 560


def test_what_a_model_wrote_is_text(paper: Encodings) -> None:
    hostile = "</s>{output}\u202e\x00{input}"
    example = encoded(instance(0, hostile, hostile, hostile), paper, settings())
    assert example.prompt.count(hostile) == 2 and hostile in example.completion


def test_a_smaller_size_is_a_part_of_a_larger_one(paper: Encodings) -> None:
    pool = [instance(number, f"Sort {number}", "Text: b") for number in (3, 0, 7, 4)]
    small, large = (within(pool, size, Path("f")) for size in (4, 8))
    assert [row.instruction_id for row in small] == ["i000003", "i000000"]
    encodings = [examples(rows, paper, settings())[0] for rows in (small, large)]
    assert set(encodings[0]) < set(encodings[1]) and len(encodings[1]) == 4


def test_doubled_and_empty_instances_are_left_out_and_counted() -> None:
    demo = encodings_of(read_document(DEMO), DEMO)
    rows = [instance(0), instance(1), instance(2, output=" "), instance(3, output="b")]
    kept, dropped = examples(rows, demo, settings())
    assert [example.completion for example in kept] == [" a", " b"]
    assert dropped == {"empty output": 1, "duplicate": 1}


def test_an_id_of_no_instruction_is_named() -> None:
    odd = dataclasses.replace(instance(1), instruction_id="seed_1")
    with pytest.raises(InputError, match="f, line 2: no instruction's id: 'seed_1'"):
        within([instance(0), odd], 4, Path("f"))


PAIR = {"prompt": "{instruction}\n{input}\n", "completion": "{output}"}
PLAIN = {"prompt": "{instruction}\n", "completion": "{output}"}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"with_input": [PAIR]}, "f: 'without_input' is no list of encodings: None"),
        ({"with_input": [], "without_input": [PLAIN]}, "'with_input' is no list of encodings: []"),
        ({"with_input": [PAIR], "without_input": [PLAIN], "x": 1}, "f: unknown key 'x'"),
        ({"with_input": ["a"], "without_input": [PLAIN]}, "f, with_input[0]: needs 'prompt' and"),
        (
            {"with_input": [PAIR, {"prompt": "a"}], "without_input": [PLAIN]},
            "f, with_input[1]: needs 'prompt' and 'completion' alone: {'prompt': 'a'}",
        ),
        (
            {"with_input": [PAIR | {"prompt": 3}], "without_input": [PLAIN]},
            "f, with_input[0]: 'prompt' is no text: 3",
        ),
        (
            {"with_input": [PLAIN], "without_input": [PLAIN]},
            "f, with_input[0], prompt: the slot {input} is missing",
        ),
        (
            {"with_input": [PAIR], "without_input": [PAIR]},
            "f, without_input[0], prompt: unknown slot {input}",
        ),
    ],
)
def test_broken_encodings_are_named_with_entry_and_value(
    document: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        encodings_of(document, Path("f"))
    assert message in str(caught.value)


def segment(folder: Path, rows: list[Instance]) -> Path:
    write_records(folder / "instances.jsonl", rows)
    return folder


def train(tmp_path: Path, backbone: Path, rows: list[Instance], **changes: object) -> None:
    script.main(
        settings=settings(**changes),
        size=100,
        encodings=DEMO,
        backbone=backbone,
        instances=[segment(tmp_path / "0", rows)],
        adapter=tmp_path / "adapter",
    )


def test_nothing_to_train_on_is_refused_with_files_and_size(tmp_path: Path) -> None:
    folders = [segment(tmp_path / "0", []), segment(tmp_path / "1", [instance(4)])]
    with pytest.raises(InputError) as caught:
        script.main(
            settings=settings(),
            size=4,
            encodings=DEMO,
            backbone=tmp_path,
            instances=folders,
            adapter=tmp_path / "adapter",
        )
    files = ", ".join(str(folder / "instances.jsonl") for folder in folders)
    message = f"{files}: of the first 4 instructions no instance is left to train on"
    assert str(caught.value) == message


def test_instances_that_are_all_too_long_are_refused(tmp_path: Path, tiny_llama: Path) -> None:
    with pytest.raises(InputError, match=r"100 instructions all exceed sft\.max_length 3"):
        train(tmp_path, tiny_llama, [instance(0)], max_length=3)
    assert not (tmp_path / "adapter").exists()


def test_an_instance_beyond_the_models_context_is_refused(tmp_path: Path, tiny_llama: Path) -> None:
    backbone = tmp_path / "short"
    shutil.copytree(tiny_llama, backbone)
    config = json.loads((backbone / "config.json").read_text())
    (backbone / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 8}))
    with pytest.raises(InputError, match=r"exceeds the model's context of 8: sft\.max_length can"):
        train(tmp_path, backbone, [instance(0)])
    assert not (tmp_path / "adapter").exists()


@pytest.mark.parametrize(
    ("targets", "message"),
    [("nowhere", "'nowhere': Target modules"), (["q_proj", "lm_head"], "output layer cannot")],
)
def test_lora_targets_that_cannot_be_are_named(
    tmp_path: Path, tiny_llama: Path, targets: object, message: str
) -> None:
    with pytest.raises(InputError, match=rf"sft\.lora\.targets .*{message}"):
        train(tmp_path, tiny_llama, [instance(0)], lora=LORA | {"targets": targets})


def test_the_loss_is_on_completion_and_end_alone_and_prompts_are_the_evaluations(
    tiny_llama: Path,
) -> None:
    from refine_af.fine_tuning import IGNORED, row
    from refine_af.models import encode, load_tokenizer
    from refine_af.prompts import read_prompt
    from refine_af.records import EvaluationInstance
    from refine_af.settings import Superni
    from refine_af.zero_shot import task_prompts

    tokenizer = load_tokenizer(tiny_llama)
    example = encoded(
        instance(0, "Sort the list.", "3, 1", "1, 3"),
        encodings_of(read_document(DEMO), DEMO),
        settings(),
    )
    made = row(example.prompt, example.completion, tokenizer)
    learned = [label for label in made.labels if label != IGNORED]
    assert tokenizer.decode(learned) == " 1, 3</s>"
    given = len(made.labels) - len(learned)
    assert made.labels == [IGNORED] * given + made.input_ids[given:]
    assert tokenizer.decode(made.input_ids[:given]) == (
        "<s>Instruction: Sort the list.\nInput: 3, 1\nAnswer:"
    )
    section = yaml.safe_load((ROOT / "demo" / "config.yaml").read_text())["superni"]
    asked = EvaluationInstance("1", "a", "words", "Sort the list.", "3, 1", ["1, 3"])
    prompt = read_prompt(ROOT / "demo" / "prompts" / "superni.txt", {"definition", "input"})
    (task,) = task_prompts([asked], prompt, Superni.model_validate(section), tokenizer)
    evaluated = encode(tokenizer, task.prefix, start=True)
    assert evaluated + encode(tokenizer, task.tails[0], start=False) == made.input_ids[:given]


def test_a_tuned_model_gives_the_answer_and_stops(tmp_path: Path, tiny_llama: Path) -> None:
    from refine_af.generation import generate
    from refine_af.models import load_backbone, load_tokenizer
    from refine_af.settings import Sampling

    rows = [instance(number, f"Name word {number}", "apple", "Yes") for number in range(60)]
    rows.append(instance(60, "Name " * 300))
    train(tmp_path, tiny_llama, rows, learning_rate=2e-2, batch_size=8, max_length=128)
    summary = json.loads((tmp_path / "adapter" / "summary.json").read_text())
    assert summary["dropped"] == {"empty output": 0, "duplicate": 0, "longer than max_length": 1}
    assert (summary["instances"], summary["with_input"], summary["updates"]) == (60, 60, 6)
    greedy = Sampling(temperature=0.0, top_p=1.0, presence_penalty=0.0, max_new_tokens=40, stop=())
    tokenizer = load_tokenizer(tiny_llama)
    tails = [f"Instruction: Name word {n}\nInput: apple\nAnswer:" for n in (3, 77)]
    replies = {}
    for adapter in (None, tmp_path / "adapter"):
        model = load_backbone(tiny_llama, quantization="none", adapter=adapter)
        made = generate(model, tokenizer, prefix="", tails=tails, sampling=greedy, seeds=[0, 0])
        replies[adapter] = [(reply.text, reply.finish) for reply in made]
    assert {finish for _, finish in replies[None]} == {"length"}
    assert replies[tmp_path / "adapter"] == [(" Yes", "eos")] * 2


def test_the_command_line_twice_gives_the_same_bytes(
    run_script: Script, tmp_path: Path, tiny_llama: Path
) -> None:
    rows = [instance(number, f"Sort {number}", "Text: b a", f"a {number}") for number in range(20)]
    folders = [segment(tmp_path / "0", rows[:12]), segment(tmp_path / "1", rows[12:])]
    chosen = settings(lora=LORA | {"dropout": 0.05})

    def trained(adapter: Path) -> subprocess.CompletedProcess[str]:
        return run_script(
            "sft",
            *("--settings", chosen.model_dump_json(), "--size", 18, "--encodings", PAPER),
            *("--backbone", tiny_llama, "--instances", *folders, "--adapter", adapter),
        )

    adapters = [tmp_path / "here", tmp_path / "elsewhere" / "there"]
    with ThreadPoolExecutor() as pool:
        for done in pool.map(trained, adapters):
            assert done.returncode == 0, done.stderr
            assert "progress: 9/9 updates · loss " in done.stdout
    names = sorted(path.name for path in adapters[0].iterdir())
    files = ["adapter_config.json", "adapter_model.safetensors", "history.csv", "summary.json"]
    assert names == files
    for name in names:
        assert (adapters[0] / name).read_bytes() == (adapters[1] / name).read_bytes()
    assert str(tiny_llama.parent) not in (adapters[0] / "adapter_config.json").read_text()
    with open(adapters[0] / "history.csv", newline="") as file:
        history = list(csv.DictReader(file))
    # 18 instances in batches of 2 × 4, thrice; the rate climbs over the first 3 of 9 updates
    assert [row["step"] for row in history] == [str(step) for step in range(1, 10)]
    rates = [float(row["learning_rate"]) for row in history]
    assert rates[:4] == pytest.approx([0, 2e-5 / 3, 4e-5 / 3, 2e-5])
    assert rates[3:] == sorted(rates[3:], reverse=True) and rates[-1] > 0
