"""Stage 3: what is asked, what is kept of a model's replies, and what becomes of the rest."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import instances as script
import instances_replies
from conftest import Script
from policies import moved_policy
from refine_af.engines.replies import Finish, Group, Reply
from refine_af.engines.rounds import Rounds, rounds_of
from refine_af.errors import InputError
from refine_af.files.rows import read_records, write_records
from refine_af.instances.parsing import (
    REASONS,
    Kept,
    Parsed,
    check_parsed,
    counts,
    joined,
    parsed,
    run_on,
)
from refine_af.instances.replies import AskedReply, Writing, in_rounds
from refine_af.instances.rounds import Part, requests_of
from refine_af.instances.scores import ScoreLog
from refine_af.jobs.command_line import canonical
from refine_af.prompts.completions import Pair
from refine_af.prompts.templates import Prompt, prompt_of
from refine_af.records.instances import Instance, Rejected, Template
from refine_af.records.instructions import Instruction
from refine_af.records.segments import read_segment
from refine_af.rewards.equation_1 import COMPONENTS
from refine_af.rewards.scorer import Scorer, Triplet
from refine_af.settings.fields import Section
from refine_af.settings.instances import Instances
from refine_af.settings.sampling import Sampling
from refine_af.settings.watch import ParsedWatch
from refine_af.workflow.configuration import read_experiment
from tiny import tiny_config

PROMPT = prompt_of("Examples:\nTask: {instruction}\n", {"instruction"}, "prompt")
PROMPTS: dict[Template, Prompt] = {"input first": PROMPT}
SAMPLING = Sampling(
    temperature=0.0, top_p=1.0, min_p=0.0, presence_penalty=0.0, max_new_tokens=8, stop=()
)
ONE = Instances(
    engine="transformers",
    quantization="none",
    seed=1,
    prompts_per_round=2,
    per_instruction=1,
    sampling=SAMPLING,
    classification=None,
)
THREE = ONE.model_copy(update={"per_instruction": 3})
HALF = ParsedWatch(least_parsed=0.5, least_identified=0.5, patience=2)


def instruction(index: int, text: str = "Name a river") -> Instruction:
    return Instruction(f"i{index:06d}", text, 0, 0, [], "seed_0", 0.5, "seed_0", 0.5, 9, 9)


def asked(
    text: str, template: Template = "input first", *, place: int = 0, finish: Finish = "stop"
) -> AskedReply:
    return AskedReply(0, place, text, finish, 1, 0, template)


def found_in(settings: Instances, *replies: str, finish: Finish = "stop") -> Parsed:
    rows = [instruction(index) for index in range(len(replies))]
    return parsed(settings, rows, [asked(reply, finish=finish) for reply in replies])


def test_one_instance_an_instruction_and_the_rest_with_its_reason() -> None:
    made = found_in(
        ONE,
        "Output: the Rhine",
        "a plain answer",
        "Example 1\nInput: x\nOutput:\nExample 2\nInput: y\nOutput: z\nExample 3\nOutput: w",
    )
    assert made.kept == [
        Kept(instruction(0), 0, Pair("", "the Rhine"), "input first"),
        Kept(instruction(2), 0, Pair("y", "z"), "input first"),
    ]
    assert made.rejected == [
        Rejected("i000001", "no output", "a plain answer"),
        Rejected("i000002", "empty output", "Input: x\nOutput: "),
        Rejected("i000002", "surplus", "Input: \nOutput: w"),
    ]
    figures = counts(made)
    assert (figures["instructions"], figures["parsed"], figures["kept"]) == (3, 2, 2)
    assert figures["classification"] == 0 and list(figures)[4:] == list(REASONS)
    assert [reason for reason in REASONS if figures[reason]] == [
        "no output",
        "empty output",
        "surplus",
    ]


def test_several_instances_are_a_sample_that_the_instruction_decides() -> None:
    reply = "".join(f"Example {i}\nInput: {i}\nOutput: out {i}\n" for i in range(1, 9))
    made = found_in(THREE, reply, reply)
    assert [(entry.row.id, entry.number) for entry in made.kept] == [
        (f"i00000{i}", n) for i in (0, 1) for n in (0, 1, 2)
    ]
    assert made == found_in(THREE, reply, reply)
    first, second = (
        [entry.pair.input for entry in made.kept if entry.row.id == f"i00000{i}"] for i in (0, 1)
    )
    assert first == sorted(first)
    assert first != second, "each instruction draws for itself"
    assert counts(made)["surplus"] == 10
    few = "Example 1\nInput: 1\nOutput: a\nExample 2\nInput: 2\nOutput: b"
    assert [entry.pair.output for entry in found_in(THREE, few).kept] == ["a", "b"]


def test_a_reply_that_the_length_limit_cut_loses_its_last_pair() -> None:
    reply = "Example 1\nInput: 1\nOutput: a\nExample 2\nInput: 2\nOutput: unfinis"
    made = found_in(THREE, reply, finish="length")
    assert [entry.pair.output for entry in made.kept] == ["a"]
    assert [row.reason for row in made.rejected] == ["truncated"]


def test_prompts_and_seeds_depend_on_the_instruction_alone() -> None:
    rows = [instruction(0), instruction(1, "Spell {instruction} "), instruction(2)]
    tails, seeds = requests_of(rows, ONE, PROMPT)
    assert requests_of(rows[1:], ONE, PROMPT) == (tails[1:], seeds[1:])
    assert tails[1] == " Spell {instruction}\n", "what an instruction holds is no slot"
    assert len(set(seeds)) == 3


@given(count=st.integers(0, 60), requests=st.integers(1, 20), jobs=st.integers(1, 8))
def test_rounds_are_whole_whoever_takes_them(count: int, requests: int, jobs: int) -> None:
    rows = [instruction(index) for index in range(count)]
    rounds = rounds_of(rows, requests)
    assert [row for part in rounds for row in part] == rows
    assert all(len(part) == requests for part in rounds[:-1])
    assert all(1 <= len(part) <= requests for part in rounds)
    # rules/common.smk, rounds_of: every round is some job's, and no two jobs share one
    taken = [number for job in range(jobs) for number in range(len(rounds))[job::jobs]]
    assert sorted(taken) == list(range(len(rounds)))


class Answering:
    """An engine that answers every prompt with its next reply; counts what it is asked."""

    def __init__(self, *replies: str) -> None:
        self.replies = list(replies)
        self.asked = 0
        self.loading_s, self.origin = 0.0, ""

    def __call__(
        self, groups: Sequence[Group], seeds: Sequence[int], answered: Collection[int] = ()
    ) -> Iterator[tuple[int, Reply]]:
        for place in range(len(seeds)):
            if place not in answered:
                self.asked += 1
                yield place, Reply(self.replies.pop(0), "stop", 7, 3)


def at(log: Rounds) -> Callable[[Part], Rounds]:
    """Where every part's replies are kept."""
    return lambda _: log


def test_a_job_stops_early_where_too_few_replies_parse(tmp_path: Path) -> None:
    """Two rounds of two: 1 of 4 parsed is below a half, and the third round is never asked for."""
    rows = [instruction(index) for index in range(6)]
    rounds = dict(enumerate(rounds_of(rows, 2)))
    engine = Answering("no", "no", "Output: yes", "odd", "Output: a", "Output: b")

    def write(watch: ParsedWatch) -> list[AskedReply]:
        writing = Writing(ONE, watch, PROMPTS, rounds)
        made = []
        for number in rounds:
            (tmp_path / str(number)).mkdir(exist_ok=True)
            log = Rounds(tmp_path / str(number) / "replies.jsonl", engine)
            made += writing.round(number, at(log))
            log.close()
        return made

    with pytest.raises(InputError) as error:
        write(HALF)
    assert engine.asked == 4
    message = str(error.value)
    assert message.startswith("of the 4 replies of 2 rounds 1 (25.0%) held an output")
    assert "watch.instances.least_parsed asks for 50.0%. One that held none: 'odd'" in message
    made = write(HALF.model_copy(update={"least_parsed": 0.25}))
    assert engine.asked == 6, "a lower floor goes on from there"
    assert [(row.round, row.request, row.text) for row in made] == [
        (0, 0, "no"),
        (0, 1, "no"),
        (1, 0, "Output: yes"),
        (1, 1, "odd"),
        (2, 0, "Output: a"),
        (2, 1, "Output: b"),
    ]


def test_patience_is_counted_in_rounds(tmp_path: Path) -> None:
    rounds = dict(enumerate(rounds_of([instruction(0), instruction(1)], 1)))
    for patience, asked in ((1, 1), (2, 2), (3, None)):
        engine = Answering("no", "no")
        watch = HALF.model_copy(update={"patience": patience})
        writing = Writing(ONE, watch, PROMPTS, rounds)
        folder = tmp_path / str(patience)
        folder.mkdir()

        def write(writing: Writing = writing, folder: Path = folder, e: Any = engine) -> None:
            for number in rounds:
                log = Rounds(folder / f"{number}.jsonl", e)
                writing.round(number, at(log))

        if asked is None:
            write()
        else:
            with pytest.raises(InputError, match=f"replies of {asked} rounds 0"):
                write()
            assert engine.asked == asked


def test_too_few_parsed_replies_end_the_stage() -> None:
    few = joined([found_in(ONE, "nothing", "nothing"), found_in(ONE, "Output: yes")])
    with pytest.raises(InputError) as error:
        check_parsed(few, HALF, Path("segments/2"))
    message = str(error.value)
    assert message.startswith("segments/2: of 3 replies 1 (33.3%) held an output and 1 instances")
    assert "Rejected: 2 no output. The first: 'nothing'." in message
    lower = HALF.model_copy(update={"least_parsed": 0.3})
    check_parsed(few, lower, Path("x"))
    with pytest.raises(InputError, match="held an output and 0 instances"):
        check_parsed(found_in(ONE, "Output:"), lower, Path())


def logged(number: int, *requests: int) -> tuple[Path, list[AskedReply]]:
    rows = [AskedReply(number, k, "x", "eos", 1, 1, "input first") for k in requests]
    return Path(f"{number}.jsonl"), rows


def test_replies_are_one_to_each_instruction() -> None:
    rounds = rounds_of([instruction(index) for index in range(3)], 2)
    files = [logged(0, 0, 1), logged(1, 0)]
    assert in_rounds(files, rounds) == [files[0][1], files[1][1]]
    for files, fault in [
        ([logged(0, 0, 1)], "--replies: 1 files for a segment of 2 rounds"),
        ([logged(1, 0), logged(0, 0, 1)], "1.jsonl, line 1: round 1, request 0, where round 0, re"),
        ([logged(0, 0, 0), logged(1, 0)], "0.jsonl, line 2: round 0, request 0, .* request 1 foll"),
        ([logged(0, 0), logged(1, 0)], "0.jsonl: 1 replies to 2 instructions"),
        ([logged(0, 0, 1), logged(1, 0, 1)], "1.jsonl: 2 replies to 1 instructions"),
    ]:
        with pytest.raises(InputError, match=fault):
            in_rounds(files, rounds)


class Judging:
    """A judge whose scores tell how many were judged before, and with how many others."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, triplets: Sequence[Triplet]) -> list[dict[str, float]]:
        self.calls.append(len(triplets))
        return [
            dict.fromkeys(COMPONENTS, len(triplets) + place / 3) for place in range(len(triplets))
        ]


def test_a_round_is_scored_once_and_in_one_go(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    three = [Triplet("a", "", str(place)) for place in range(3)]
    judge = Judging()
    log = ScoreLog(path, judge, COMPONENTS)
    first = log.scores(0, three)
    assert first[2] == dict.fromkeys(COMPONENTS, 3 + 2 / 3)
    assert log.scores(1, []) == [] and log.scores(2, three[:2])
    log.close()
    assert judge.calls == [3, 2], "no judge is asked about nothing"
    whole = path.read_bytes()

    path.write_bytes(whole[:-5])  # killed within the last append
    judge = Judging()
    log = ScoreLog(path, judge, COMPONENTS)
    assert log.scores(0, three) == first
    assert log.scores(1, []) == [] and log.scores(2, three[:2])
    log.close()
    assert judge.calls == [2], "the whole round again, in one batch as before"
    assert path.read_bytes() == whole

    for damage, message in [
        (whole.splitlines(keepends=True)[0] * 2, "line 2: round 0 is scored already"),
        (b'{"round": 0, "scores": [{"a": 1.0}]}\n', "line 1: not reward_model, .*: {'a': 1.0}"),
        (whole.replace(b"3.0", b"NaN", 1), "line 1: not reward_model, .*: {'reward_model': nan"),
        (whole.replace(b"3.0", b"1e999", 1), "line 1: not reward_model, .*: {'reward_model': inf"),
    ]:
        path.write_bytes(damage)
        with pytest.raises(InputError, match=message):
            ScoreLog(path, judge, COMPONENTS)
    path.write_bytes(whole)
    with pytest.raises(InputError, match="3 scores of round 0, which has 2 instances"):
        ScoreLog(path, judge, COMPONENTS).scores(0, three[:2])


def row(instruction_id: str, number: int) -> Instance:
    texts = (f"{instruction_id}-{number}", instruction_id, "self-instruct", "x", "", "y")
    return Instance(*texts, "", 0.1, {"a": 1.5})


def test_merged_ids_must_run_on() -> None:
    good = [row("i000000", 0), row("i000000", 1), row("i000003", 0), row("i999999", 0)]
    parts = [(Path("a"), good), (Path("b"), [row("i1000000", 0)])]
    assert run_on(parts) == [*good, row("i1000000", 0)]
    for bad, fault in [
        (row("i000003", 0), "instruction 'i000003' stands after 'i999999'"),
        (row("i1000000", 1), "id 'i1000000-1', where i1000000-0 follows"),
        (row("i999999", 0), "id 'i999999-0', where i999999-1 follows"),
    ]:
        with pytest.raises(InputError, match=f"b, line 1: {fault}"):
            run_on([(Path("a"), good), (Path("b"), [bad])])


def write_pool(folder: Path, texts: Sequence[str]) -> Path:
    folder.mkdir()
    rows = [instruction(index, text) for index, text in enumerate(texts)]
    lines = [json.dumps(vars(entry)) + "\n" for entry in rows]
    (folder / "instructions.jsonl").write_text("".join(lines))
    return folder


def write_adapter(world: Path, folder: Path) -> Path:
    """PPO's folder, with an adapter that changes what the tiny Llama writes, and not too much."""
    policy = moved_policy(world / "llama")
    with torch.no_grad():
        for name, weights in policy.named_parameters():
            if "lora_B" in name:
                weights.mul_(0.2)
    folder.mkdir()
    policy.save(folder)
    return folder


def asked_of(world: Path, pool: Path, **changes: object) -> dict[str, Any]:
    """What both halves of the stage are given, but for where they write."""
    experiment = read_experiment(tiny_config(world))
    settings = experiment.instances.model_copy(update={"classification": None, **changes})
    return {
        "settings": settings,
        "watch": experiment.watch.instances,
        "method": "self-instruct",
        "ppo": None,
        "instructions": pool,
    }


def replying(
    world: Path, given: dict[str, Any], rounds: Sequence[int], out: Path
) -> dict[str, Any]:
    """The first half: the replies of some rounds, as files in the folder `out`."""
    return given | {
        "server": None,
        "served": None,
        "prompt": world / "instances.txt",
        "output_first": None,
        "kinds": None,
        "chat": False,
        "backbone": world / "llama",
        "rounds": list(rounds),
        "progress": out / "kept",
        "replies": [out / f"{number}.jsonl" for number in rounds],
    }


def reading(world: Path, given: dict[str, Any], rounds: int, out: Path) -> dict[str, Any]:
    """The second half: the instances in the replies of all rounds."""
    return given | {
        "reward": read_experiment(tiny_config(world)).reward,
        "replies": [out / f"{number}.jsonl" for number in range(rounds)],
        "reward_model": world / "reward_model",
        "evaluator": world / "evaluator",
        "judge_prompt": None,
        "judge_server": None,
        "progress": out / "scored",
        "segment": out / "segment",
    }


def flags(given: dict[str, Any]) -> list[object]:
    words: list[object] = []
    for name, value in given.items():
        words.append(f"--{name.replace('_', '-')}")
        if isinstance(value, list):
            words += value
        elif value is not None:
            words.append(canonical(value) if isinstance(value, Section) else value)
    return words


NAMES = ["counts.csv", "instances.jsonl", "rejected.jsonl"]


def contents(folder: Path) -> dict[str, bytes]:
    assert sorted(path.name for path in folder.iterdir()) == NAMES
    return {name: (folder / name).read_bytes() for name in NAMES}


def test_command_line(run_script: Script, world: Path, tmp_path: Path) -> None:
    texts = [f"Sort number {index}." for index in range(60)]
    given = asked_of(world, write_pool(tmp_path / "pool", texts), prompts_per_round=25)
    first, again = tmp_path / "first", tmp_path / "again"
    done = run_script("instances_replies", *flags(replying(world, given, range(3), first)))
    assert done.returncode == 0, done.stderr
    assert "progress: 60/60 instructions answered" in done.stdout
    assert "round 2: " in done.stdout and " of 10 replies held an output · " in done.stdout
    done = run_script("instances", "segment", *flags(reading(world, given, 3, first)))
    assert done.returncode == 0, done.stderr
    assert "instances from 60 instructions" in done.stdout

    instances_replies.main(**replying(world, given, range(3), again))
    script.segment(**reading(world, given, 3, again))
    assert contents(again / "segment") == contents(first / "segment")
    with open(first / "segment" / "counts.csv", newline="") as file:
        (figures,) = csv.DictReader(file)
    lines = (first / "segment" / "instances.jsonl").read_text().splitlines()
    assert figures["instructions"] == "60"
    assert int(figures["kept"]) == len(lines) > 0

    merged = tmp_path / "merged.jsonl"
    folder = first / "segment"
    done = run_script("instances", "merge", "--segments", folder, "--instances", merged)
    assert done.returncode == 0, done.stderr
    assert merged.read_bytes() == (folder / "instances.jsonl").read_bytes()


@pytest.mark.slow
def test_every_instance_tells_who_wrote_it_and_what_the_judges_say(
    world: Path, tmp_path: Path
) -> None:
    """Both methods answer the same pool, and are scored alike."""
    pool = write_pool(tmp_path / "pool", [f"Sort number {index}." for index in range(60)])
    ppo = write_adapter(world, tmp_path / "ppo")
    weights = (ppo / "adapter" / "adapter_model.safetensors").read_bytes()
    digests = {"self-instruct": "", "refine-af": hashlib.sha256(weights).hexdigest()}
    rows: dict[str, list[Instance]] = {}
    reward = read_experiment(tiny_config(world)).reward
    scorer = Scorer(reward, world / "reward_model", world / "evaluator")
    for method, digest in digests.items():
        given = asked_of(world, pool, prompts_per_round=25) | {"method": method}
        given |= {"ppo": ppo if digest else None}
        out = tmp_path / method
        instances_replies.main(**replying(world, given, range(3), out))
        script.segment(**reading(world, given, 3, out))
        rows[method] = read_records(out / "segment" / "instances.jsonl", Instance)
        assert rows[method]
        for row in rows[method]:
            assert (row.method, row.adapter_sha256) == (method, digest)
            (alone,) = scorer([Triplet(row.instruction, row.input, row.output)])
            found = row.components
            assert found == pytest.approx(alone, rel=1e-4, abs=1e-5)
            # The demo's weights.
            by_hand = 0.1 * found["reward_model"] + 0.3 * found["naturalness"]
            by_hand += 0.4 * found["coherence"] + 0.1 * found["understandability"]
            assert row.reward == pytest.approx(by_hand)
    outputs = [[row.output for row in rows[method]] for method in digests]
    assert outputs[0] != outputs[1], "the adapter decides what is written"

    kept = reading(world, given, 3, tmp_path / "self-instruct")
    script.segment(**kept | {"segment": tmp_path / "segment"})
    places = [path for path in kept["progress"].iterdir() if path.is_dir()]
    assert len(places) == 2, "what another method has landed there is not this one's"


def test_scores_decide_nothing_of_what_is_kept(world: Path, tmp_path: Path) -> None:
    given = asked_of(world, write_pool(tmp_path / "pool", ["Sort."] * 6), prompts_per_round=4)
    instances_replies.main(**replying(world, given, range(2), tmp_path))
    asked = reading(world, given, 2, tmp_path)
    script.segment(**asked)
    weights = asked["reward"].weights.model_copy(update={"constant": -9.0, "coherence": 0.0})
    other = asked["reward"].model_copy(update={"weights": weights})
    script.segment(**asked | {"reward": other, "segment": tmp_path / "other"})
    before, after = (
        read_records(tmp_path / name / "instances.jsonl", Instance) for name in ("segment", "other")
    )
    assert [(row.id, row.input, row.output) for row in before] == [
        (row.id, row.input, row.output) for row in after
    ]
    for row in after:
        found = row.components
        by_hand = 0.1 * found["reward_model"] + 0.3 * found["naturalness"]
        by_hand += 0.1 * found["understandability"]
        assert row.reward == pytest.approx(by_hand - 9.0)


def test_faults_end_the_stage_before_it_writes(
    world: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    given = asked_of(world, write_pool(tmp_path / "pool", ["Sort the numbers."]))
    first = replying(world, given, [0], tmp_path)
    instances_replies.main(**first | {"backbone": tiny_llama})
    second = reading(world, given, 1, tmp_path)
    with pytest.raises(InputError, match=f"{second['segment']}: of 1 replies 0 .* held an output"):
        script.segment(**second)
    for main, asked in ((instances_replies.main, first), (script.segment, second)):
        with pytest.raises(InputError, match="--ppo None: refine-af needs PPO's folder"):
            main(**asked | {"method": "refine-af"})
        with pytest.raises(InputError, match=r"--ppo ppo: .* self-instruct takes none"):
            main(**asked | {"ppo": Path("ppo")})
        with pytest.raises(
            InputError, match="--method 'alpaca': known are self-instruct, refine-a"
        ):
            main(**asked | {"method": "alpaca"})
    (tmp_path / "adapter").mkdir()
    with pytest.raises(InputError, match=r"no adapter_config\.json"):
        instances_replies.main(**first | {"method": "refine-af", "ppo": tmp_path})
    with pytest.raises(InputError, match="--rounds 1: the rounds are 0 to 0"):
        instances_replies.main(**first | {"rounds": [1]})
    with pytest.raises(InputError, match=r"--rounds .* a file each is needed, got 1 --replies"):
        instances_replies.main(**first | {"rounds": [0, 1]})
    with pytest.raises(InputError, match=r"--replies a: named for two rounds"):
        instances_replies.main(**first | {"rounds": [0, 1], "replies": [Path("a"), Path("a")]})
    assert not second["segment"].exists()
    with pytest.raises(InputError, match="--segments: none is named"):
        script.merge(segments=[], instances=tmp_path / "merged.jsonl")
    assert not (tmp_path / "merged.jsonl").exists()


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        ([], "instructions.jsonl: holds no instruction$"),
        (["i000007", "i000007"], "line 2: id 'i000007', where i000008 follows"),
        (["i000008", "i000007"], "line 2: id 'i000007', where i000009 follows"),
        (["i000999", "i1000"], "line 2: id 'i1000', where i001000 follows"),
        ([""], "line 1: id '', where i000000 follows"),
        (["../x"], r"line 1: id '\.\./x', where i000000 follows"),
        (["i\ud83d"], r"line 1: id 'i\\ud83d', where i000000 follows"),
        (["i0"], "line 1: id 'i0', where i000000 follows"),
    ],
)
def test_a_segment_whose_ids_do_not_run_on_is_refused(
    ids: list[str], said: str, tmp_path: Path
) -> None:
    rows = [replace(instruction(0), id=name) for name in ids]
    write_records(tmp_path / "instructions.jsonl", rows)
    with pytest.raises(InputError, match=f"^{tmp_path}/.*{said}"):
        read_segment(tmp_path)


def test_a_segment_may_begin_anywhere_in_the_pool(tmp_path: Path) -> None:
    rows = [instruction(index) for index in (999_999, 1_000_000)]
    write_records(tmp_path / "instructions.jsonl", rows)
    assert read_segment(tmp_path) == rows
