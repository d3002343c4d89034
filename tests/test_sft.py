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
from hypothesis import given
from hypothesis import strategies as st

import sft as script
from fine_tuning import (
    COMPUTE,
    DEMO,
    FIXED,
    LORA,
    PAPER,
    PREFIX,
    asked,
    instance,
    segment,
    settings,
)
from refine_af.errors import InputError
from refine_af.files.documents import read_document
from refine_af.files.rows import write_records
from refine_af.records.human_tasks import read_seed_instances
from refine_af.records.instances import Instance
from refine_af.records.overlap import Overlap
from refine_af.records.subsets import chosen, in_words
from refine_af.settings.subsets import Subsets
from refine_af.sft.examples import (
    Encodings,
    encoded,
    encodings_of,
    examples,
    overlapping,
    within,
    without_label,
)
from tiny import ROOT, demo_config

Script = Callable[..., "subprocess.CompletedProcess[str]"]


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
    small, large = (within(pool, range(size), Path("f")) for size in (4, 8))
    assert [row.instruction_id for row in small] == ["i000003", "i000000"]
    encodings = [examples(rows, paper, settings())[0] for rows in (small, large)]
    assert set(encodings[0]) < set(encodings[1]) and len(encodings[1]) == 4


DRAWN = Subsets(count="instructions", order="random", pool=40, seed=3)


@given(seed=st.integers(0, 9), sizes=st.lists(st.integers(1, 40), min_size=2, max_size=2))
def test_random_subsets_are_nested_and_no_other_size_changes_them(
    seed: int, sizes: list[int]
) -> None:
    small, large = sorted(sizes)
    drawn = DRAWN.model_copy(update={"seed": seed})
    found = [{n for n in range(60) if n in chosen(size, drawn)} for size in (small, large, 40)]
    assert [len(each) for each in found] == [small, large, 40]
    assert found[0] <= found[1] <= found[2] == set(range(40))


def test_subsets_are_drawn_evenly_and_by_their_seed() -> None:
    """Of 200 seeds some 100 draw each of 40 into 20; five standard deviations are 36."""
    draws = [chosen(20, DRAWN.model_copy(update={"seed": seed})) for seed in range(200)]
    assert len({frozenset(n for n in range(40) if n in drawn) for drawn in draws}) == 200
    counts = [sum(number in drawn for drawn in draws) for number in range(40)]
    assert min(counts) > 64 and max(counts) < 136
    other = DRAWN.model_copy(update={"pool": 41})
    assert any((n in chosen(20, DRAWN)) != (n in chosen(20, other)) for n in range(41))


def test_a_prefix_is_the_first_and_draws_nothing() -> None:
    assert list(chosen(3, PREFIX)) == [0, 1, 2]  # type: ignore[call-overload]
    with pytest.raises(InputError, match=r"--size 41: more than subsets\.pool 40"):
        chosen(41, DRAWN)
    assert in_words(PREFIX) == "A size has the first instructions of the pool."
    assert "drawn at random from the first 40 of the pool (seed 3)" in in_words(DRAWN)


def test_seeds_are_trained_on_beside_a_random_subset(tmp_path: Path) -> None:
    """4 of 8 instructions, in two segments, and two seeds, whatever is drawn."""
    rows = [instance(number, f"Sort {number}") for number in range(8)]
    folders = [segment(tmp_path / "0", rows[:4]), segment(tmp_path / "1", rows[4:])]
    files = [folder / "instances.jsonl" for folder in folders]
    seeds = tmp_path / "seeds.jsonl"
    own = [{"input": "", "output": "b"}]
    lines = [{"id": f"s{n}", "instruction": f"Name {n}", "instances": own} for n in range(2)]
    seeds.write_text("".join(json.dumps(line) + "\n" for line in lines))
    subsets = DRAWN.model_copy(update={"pool": 8})
    texts = script._texts(settings(include_seeds=True), 4, subsets, DEMO, files, [], [seeds])
    found = [example.instruction_id for example in texts.examples]
    drawn = [
        row.instruction_id for row in rows if int(row.instruction_id[1:]) in chosen(4, subsets)
    ]
    assert found == [*drawn, "s0", "s1"] and len(drawn) == 4
    assert drawn != [row.instruction_id for row in rows[:4]]
    assert texts.subset == in_words(subsets) and "of the 4 drawn instructions" in texts.where


def test_doubled_and_empty_instances_are_left_out_and_counted() -> None:
    demo = encodings_of(read_document(DEMO), DEMO)
    rows = [instance(0), instance(1), instance(2, output=" "), instance(3, output="b")]
    kept, dropped = examples(rows, demo, settings())
    assert [example.completion for example in kept] == [" a", " b"]
    nothing = {"not text": 0, "empty instruction": 0}
    assert dropped == nothing | {"empty output": 1, "duplicate": 1}


def test_what_no_tokenizer_reads_is_left_out_and_counted(paper: Encodings) -> None:
    rows = [instance(0), instance(1, "a\0"), instance(2, text="\ud83d"), instance(3, " \n")]
    kept, dropped = examples([*rows, instance(4, output="\udc00")], paper, settings())
    assert [example.instruction_id for example in kept] == ["i000000"]
    assert {name: count for name, count in dropped.items() if count} == {
        "not text": 3,
        "empty instruction": 1,
    }


def test_what_overlaps_is_left_out_where_that_is_asked_for(
    paper: Encodings, tmp_path: Path
) -> None:
    rows = [instance(number, f"Sort {number}") for number in range(4)]
    files = [tmp_path / "0.jsonl", tmp_path / "1.jsonl"]
    for path, part in zip(files, (rows[:2], rows[2:]), strict=True):
        found = [Overlap(row.id, 0, None, 0.0, None, 0.0, None, row is rows[2]) for row in part]
        write_records(path, found)
    assert overlapping(files, rows) == {"i000002-0"}
    kept, dropped = examples(rows, paper, settings(), without={"i000002-0"})
    assert [example.instruction_id for example in kept] == ["i000000", "i000001", "i000003"]
    assert dropped["overlap"] == 1
    assert "overlap" not in examples(rows, paper, settings())[1], "not looked at, so not zero"
    with pytest.raises(InputError, match=r"0\.jsonl: no line of instance 'i000002-0'"):
        overlapping(files[:1], rows)


def test_one_fixed_template_by_config() -> None:
    fixed = encodings_of(read_document(FIXED), FIXED)
    chosen = settings(strip_label_share=0.0)
    prompts = {
        encoded(instance(number, "I", text), fixed, chosen).prompt
        for number in range(50)
        for text in ("X", "")
    }
    assert prompts == {"I\nInput: X\nOutput:", "I\nOutput:"}


def test_a_doubled_id_is_named_with_both_lines() -> None:
    with pytest.raises(InputError, match="f, line 3: id 'i000001-0' stands on line 2 too"):
        within([instance(0), instance(1), instance(1)], range(1), Path("f"))


def test_an_id_of_no_instruction_is_named() -> None:
    for name in ("seed_1", "i" + "1" * 5000, "i١"):
        odd = dataclasses.replace(instance(1), instruction_id=name)
        with pytest.raises(InputError, match="f, line 2: no instruction's id: '" + name[:9]):
            within([instance(0), odd], range(4), Path("f"))


def test_an_id_that_is_no_text_is_named() -> None:
    odd = dataclasses.replace(instance(1), id="i1-\ud800")
    with pytest.raises(InputError, match=r"f, line 2: id 'i1-\\ud800' is no text"):
        within([instance(0), odd], range(4), Path("f"))


def seeds_file(path: Path, *rows: list[dict[str, str]] | None) -> Path:
    """A file of seeds with these instances; None for a seed that has none."""
    lines = [
        {"id": f"seed_{n}", "instruction": f"Name {n}."}
        | ({} if row is None else {"instances": row})
        for n, row in enumerate(rows)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.slow
def test_the_seeds_own_instances_are_trained_on_where_that_is_asked_for(
    tmp_path: Path, tiny_llama: Path
) -> None:
    """As Self-Instruct's --include_seed_tasks: each of a seed's instances, by either method."""
    two = [{"input": "a", "output": "b"}, {"input": "", "output": "c"}]
    seeds = seeds_file(tmp_path / "seeds.jsonl", two, [{"input": "d", "output": "e"}])
    told = {}
    for included in (True, False):
        place = tmp_path / str(included)
        given = asked(place, tiny_llama, [instance(0), instance(1, "Add")], include_seeds=included)
        script.main(**given | {"seeds": [seeds] if included else []})
        told[included] = json.loads((place / "adapter" / "summary.json").read_text())
    assert told[True]["instances"] == 5 and told[True]["of_seeds"] == 3
    assert told[True]["of_instructions"] == 4 and told[True]["with_input"] == 2
    assert told[False]["instances"] == 2 and "of_seeds" not in told[False]


def test_seeds_without_instances_are_refused(tmp_path: Path) -> None:
    seeds = seeds_file(tmp_path / "seeds.jsonl", [{"input": "", "output": "c"}], None)
    with pytest.raises(
        InputError, match=r"seeds\.jsonl, line 2: no 'instances' in seed 'seed_1', "
    ):
        read_seed_instances(seeds)
    seeds_file(seeds, [{"output": "c"}])
    with pytest.raises(InputError, match=r"seeds\.jsonl, line 1: no 'input' and 'output' in "):
        read_seed_instances(seeds)
    with pytest.raises(
        InputError, match=r"^--seeds: names no file, which sft\.include_seeds: true"
    ):
        train(tmp_path, tmp_path, [instance(0)], include_seeds=True)


def test_overlap_without_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^--overlap: names no file, which sft\.remove_overlap"):
        train(tmp_path, tmp_path, [instance(0)], remove_overlap=True)


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


def train(tmp_path: Path, backbone: Path, rows: list[Instance], **changes: object) -> None:
    script.main(**asked(tmp_path, backbone, rows, **changes))


def test_nothing_to_train_on_is_refused_with_files_and_size(tmp_path: Path) -> None:
    folders = [segment(tmp_path / "0", []), segment(tmp_path / "1", [instance(4)])]
    with pytest.raises(InputError) as caught:
        script.main(
            settings=settings(),
            compute=COMPUTE,
            size=4,
            subsets=PREFIX,
            encodings=DEMO,
            chat=False,
            backbone=tmp_path,
            instances=folders,
            overlap=[],
            seeds=[],
            report_to=[],
            curves=tmp_path / "curves",
            progress=tmp_path / "progress",
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
    [("nowhere", "'nowhere': 'Target modules"), (["q_proj", "lm_head"], "output layer cannot")],
)
def test_lora_targets_that_cannot_be_are_named(
    tmp_path: Path, tiny_llama: Path, targets: object, message: str
) -> None:
    with pytest.raises(InputError, match=rf"sft\.lora\.targets .*{message}"):
        train(tmp_path, tiny_llama, [instance(0)], lora=LORA | {"targets": targets})


def test_the_loss_is_on_completion_and_end_alone_and_prompts_are_the_evaluations(
    tiny_llama: Path,
) -> None:
    from refine_af.models.backbones import load_tokenizer
    from refine_af.models.encoding import encode
    from refine_af.prompts.templates import read_prompt
    from refine_af.records.evaluation import EvaluationInstance
    from refine_af.settings.superni import Superni
    from refine_af.sft.rows import IGNORED, row
    from refine_af.superni.zero_shot import task_prompts

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
    section = demo_config()["superni"]
    question = EvaluationInstance("1", "a", "words", "Sort the list.", "3, 1", ["1, 3"])
    prompt = read_prompt(ROOT / "demo" / "prompts" / "superni.txt", {"definition", "input"})
    (task,) = task_prompts([question], prompt, Superni.model_validate(section), tokenizer)
    evaluated = encode(tokenizer, task.group.prefix, start=True)
    evaluated += encode(tokenizer, task.group.tails[0], start=False)
    assert evaluated == made.input_ids[:given]


@pytest.mark.slow
def test_a_tuned_model_gives_the_answer_and_stops(tmp_path: Path, tiny_llama: Path) -> None:
    from refine_af.engines.generation import generate
    from refine_af.models.backbones import load_backbone, load_tokenizer
    from refine_af.settings.sampling import Sampling

    rows = [instance(number, f"Name word {number}", "apple", "Yes") for number in range(60)]
    rows.append(instance(60, "Name " * 300))
    train(tmp_path, tiny_llama, rows, learning_rate=2e-2, batch_size=8, max_length=128)
    summary = json.loads((tmp_path / "adapter" / "summary.json").read_text())
    assert {name: count for name, count in summary["dropped"].items() if count} == {
        "longer than max_length": 1
    }
    assert (summary["instances"], summary["with_input"], summary["updates"]) == (60, 60, 6)
    greedy = Sampling(
        temperature=0.0, top_p=1.0, min_p=0.0, presence_penalty=0.0, max_new_tokens=40, stop=()
    )
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
            *("--settings", chosen.model_dump_json(), "--compute", COMPUTE.model_dump_json()),
            *(
                "--size",
                18,
                "--subsets",
                PREFIX.model_dump_json(),
                "--encodings",
                PAPER,
                "--chat",
                "false",
                "--backbone",
                tiny_llama,
            ),
            *("--instances", *folders, "--overlap", "--seeds", "--report-to"),
            *("--curves", tmp_path / "curves"),
            *("--progress", adapter.parent / "progress", "--adapter", adapter),
        )

    adapters = [tmp_path / "here", tmp_path / "elsewhere" / "there"]
    with ThreadPoolExecutor() as pool:
        for done in pool.map(trained, adapters):
            assert done.returncode == 0, done.stderr
            assert "progress: 9/9 updates · loss " in done.stdout
    names = sorted(path.name for path in adapters[0].iterdir())
    files = ["README.md", "adapter_config.json", "adapter_model.safetensors"]
    files += ["history.csv", "summary.json"]
    assert names == [*files, "timing.csv"]
    for name in files:
        assert (adapters[0] / name).read_bytes() == (adapters[1] / name).read_bytes()
    assert str(tiny_llama.parent) not in (adapters[0] / "adapter_config.json").read_text()
    with open(adapters[0] / "history.csv", newline="") as file:
        history = list(csv.DictReader(file))
    # 18 instances in batches of 2 × 4, thrice; the rate climbs over the first 3 of 9 updates
    assert [row["step"] for row in history] == [str(step) for step in range(1, 10)]
    rates = [float(row["learning_rate"]) for row in history]
    assert rates[:4] == pytest.approx([0, 2e-5 / 3, 4e-5 / 3, 2e-5])
    assert rates[3:] == sorted(rates[3:], reverse=True) and rates[-1] > 0
