"""What a run cost: sums that can be checked by hand, of killed jobs and of jobs on GPUs too."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from cost import main
from made_up_run import write_csv, write_rows
from refine_af.cost.account import origin_of, rows_of
from refine_af.cost.measured import jobs_of
from refine_af.cost.origins import digest_of
from refine_af.errors import InputError
from refine_af.jobs.command_line import run
from refine_af.jobs.record import Record

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
RECORD = Record(
    began="2026-01-31T12:00:00Z",
    ended="2026-01-31T13:00:00Z",
    cpu_s=100.0,
    commit="ab" * 20,
    dirty=False,
    python="3.12.1",
    libraries={"torch": "2.9"},
    system="Linux x86_64",
    cpu="Any CPU",
    cores=8,
    memory_gb=64,
    gpus=[],
)


def benchmark(folder: Path, name: str, seconds: float, *, memory: str = "500.0") -> None:
    """A job's benchmark file; its CPU time is half its seconds."""
    path = folder / "benchmarks" / f"{name}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    cpu = memory if memory in ("NA", "-") else seconds / 2
    path.write_text(f"{HEAD}{seconds}\t0:00:01\t{memory}\t1\t1\t1\t0\t0\t50\t{cpu}\n")


def log(folder: Path, name: str, **values: object) -> None:
    """A job's log, which ends in its record with these values."""
    path = folder / "logs" / f"{name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"words\nran: {json.dumps(asdict(RECORD) | values)}\n")


def make_stages(folder: Path) -> list[str]:
    """A run of `tiny`: the flags. PPO took 300 s in the last run and 1,000 s in all, on two GPUs.

    Its two steps asked 4 replies each, of 10 and 12.5 tokens in the mean.
    """
    benchmark(folder, "instructions_tiny/0", 60.0)
    benchmark(folder, "instructions_tiny/1", 30.0, memory="NA")
    benchmark(folder, "ppo_tiny", 300.0, memory="2000.0")
    benchmark(folder, "sft_tiny/refine-af_4", 20.0)
    benchmark(folder, "instances_tiny/refine-af_0_replies_0", 5.0)
    benchmark(folder, "instances_tiny/refine-af_0", 4.0)
    benchmark(folder, "superni_other/base_0", 99.0)
    benchmark(folder, "demo/evaluator", 7.0)
    for name in ("instructions_tiny/0", "instructions_tiny/1", "sft_tiny/refine-af_4"):
        log(folder, name)
    log(folder, "ppo_tiny", gpus=["A100", "A100"], ended="2026-02-01T00:00:00Z", dirty=True)
    for k, tokens in ((0, "90"), (1, "10")):
        pool = folder / "instructions_tiny" / str(k)
        write_csv(pool / "rounds.csv", "round,tokens", [(0, tokens), (1, tokens)])
        write_csv(pool / "timing.csv", "round,seconds", [(0, 20.5), (1, 1.5)])
    phases = "step,generation,reward,log_probs,update"
    write_csv(folder / "ppo_tiny" / "timing.csv", phases, [(1, 100, 50, 25, 25), (2, 800, 0, 0, 0)])
    write_csv(folder / "ppo_tiny" / "metrics.csv", "step,response_length", [(1, 10), (2, 12.5)])
    cell = folder / "sft_tiny" / "refine-af_4"
    write_csv(cell / "timing.csv", "step,seconds,tokens", [(1, 2, 300), (2, 2, 200)])
    replies = folder / "replies_tiny"
    write_rows(replies / "refine-af" / "0" / "0.jsonl", [{"tokens": 5}, {"tokens": 6}])
    (folder / "seeds.jsonl").write_text("a\n")
    entries = [
        {"what": "data.seeds", "name": "seeds.jsonl", "path": str(folder / "seeds.jsonl")},
        {"what": "models.tiny.checkpoint", "name": "a/b@1234567", "path": None},
    ]
    return [
        *("--origins", json.dumps({"entries": entries}), "--models", "tiny", "--rollouts", "4"),
        *("--benchmarks", str(folder / "benchmarks"), "--logs", str(folder / "logs")),
        *("--pools", *(str(folder / "instructions_tiny" / k) for k in "01")),
        *("--ppo", str(folder / "ppo_tiny"), "--adapters", str(cell), "--replies", str(replies)),
        *("--cost", str(folder / "cost.csv"), "--provenance", str(folder / "provenance.json")),
    ]


def table(folder: Path) -> dict[tuple[str, str], dict[str, str]]:
    with open(folder / "cost.csv", newline="") as file:
        return {(row["model"], row["stage"]): row for row in csv.DictReader(file)}


def test_sums_by_model_and_stage(tmp_path: Path) -> None:
    run(main, arguments=make_stages(tmp_path))
    found = table(tmp_path)
    stages = ("instances", "instructions", "ppo", "sft")
    assert found.keys() == {("", "demo"), *(("tiny", stage) for stage in stages)}
    first = found["tiny", "instructions"]
    assert (first["jobs"], first["resumed"], first["unrecorded"]) == ("2", "0", "0")
    assert (first["seconds"], first["longest_s"]) == ("90.0", "60.0")
    assert (first["cpu_s"], first["memory_mb"]) == ("200.0", "500.0")  # by the records; one of NA
    assert (first["gpus"], first["gpu_s"], first["tokens"]) == ("0", "0.0", "200")
    tuned = found["tiny", "sft"]
    assert (tuned["seconds"], tuned["tokens"]) == ("20.0", "500")


def test_a_job_that_was_killed_counts_with_what_its_timing_file_knows(tmp_path: Path) -> None:
    run(main, arguments=make_stages(tmp_path))
    found = table(tmp_path)["tiny", "ppo"]
    assert (found["resumed"], found["seconds"], found["longest_s"]) == ("1", "1000.0", "1000.0")
    assert (found["gpus"], found["gpu_s"]) == ("2", "2000.0")  # two GPUs for all of it
    assert found["cpu_s"] == "150.0"  # Snakemake saw more than one process tells of
    assert found["tokens"] == str(4 * 10 + 50)


def test_another_seed_of_stage_2_counts_for_its_model(tmp_path: Path) -> None:
    flags = make_stages(tmp_path)
    benchmark(tmp_path, "ppo_tiny_r2", 40.0)
    log(tmp_path, "ppo_tiny_r2")
    shutil.copytree(tmp_path / "ppo_tiny", tmp_path / "ppo_tiny_r2")
    flags.insert(flags.index("--ppo") + 2, str(tmp_path / "ppo_tiny_r2"))
    run(main, arguments=flags)
    found = table(tmp_path)["tiny", "ppo"]
    assert (found["jobs"], found["seconds"], found["tokens"]) == ("2", "2000.0", "180")


def test_a_job_without_a_record_has_the_benchmarks_cpu_time_and_no_gpu(tmp_path: Path) -> None:
    run(main, arguments=make_stages(tmp_path))
    found = table(tmp_path)["tiny", "instances"]
    assert (found["jobs"], found["unrecorded"], found["gpu_s"]) == ("2", "2", "0.0")
    assert (found["seconds"], found["cpu_s"], found["tokens"]) == ("9.0", "4.5", "11")


def test_what_nobody_knows_stays_empty(tmp_path: Path) -> None:
    benchmark(tmp_path, "overlap_tiny/refine-af_0", 0.25, memory="NA")
    benchmark(tmp_path, "overlap_tiny/refine-af_1", 0.5)
    jobs = jobs_of(tmp_path / "benchmarks", tmp_path / "logs", ["tiny"], {})
    (row,) = rows_of(jobs, {})
    assert (row.seconds, row.cpu_s, row.memory_mb, row.tokens) == (0.75, None, 500.0, None)


def test_where_and_when_the_jobs_ran(tmp_path: Path) -> None:
    run(main, arguments=make_stages(tmp_path))
    found = json.loads((tmp_path / "provenance.json").read_text())
    assert (found["jobs"], found["jobs_without_record"]) == (7, 3)
    assert found["first_job_began"] == "2026-01-31T12:00:00Z"
    assert found["last_job_ended"] == "2026-02-01T00:00:00Z"
    code = [(kind["commit"], kind["dirty"], kind["jobs"]) for kind in found["code"]]
    assert code == [("ab" * 20, False, 3), ("ab" * 20, True, 1)]
    assert [(kind["gpus"], kind["jobs"]) for kind in found["machines"]] == [
        ([], 3),
        (["A100", "A100"], 1),
    ]
    digest = hashlib.sha256(b"a\n").hexdigest()
    assert found["origins"] == [
        {"what": "data.seeds", "name": "seeds.jsonl", "sha256": digest},
        {"what": "models.tiny.checkpoint", "name": "a/b@1234567", "sha256": ""},
    ]


def test_a_run_without_any_record_says_no_time() -> None:
    found = origin_of([], [])
    assert found["first_job_began"] is found["last_job_ended"] is None
    assert found["code"] == found["machines"] == found["software"] == []


def test_a_folder_is_what_its_files_are_by_name(tmp_path: Path) -> None:
    for folder in (tmp_path / "a", tmp_path / "b"):
        (folder / "sub").mkdir(parents=True)
        (folder / "z").write_text("1")
        (folder / "sub" / "y").write_text("2")
    (tmp_path / "b" / ".snakemake_timestamp").touch()
    lines = f"{hashlib.sha256(b'2').hexdigest()}  sub/y\n{hashlib.sha256(b'1').hexdigest()}  z\n"
    own = digest_of(tmp_path / "a")
    assert own == digest_of(tmp_path / "b") == hashlib.sha256(lines.encode()).hexdigest()
    (tmp_path / "b" / "z").rename(tmp_path / "b" / "x")
    assert digest_of(tmp_path / "b") != own
    with pytest.raises(InputError, match="neither a file nor a folder of files"):
        digest_of(tmp_path / "nowhere")


BROKEN = [
    ("benchmarks/ppo_tiny.tsv", HEAD, "0 rows, where a benchmark has one"),
    ("benchmarks/ppo_tiny.tsv", "s\tmax_rss\tcpu_time\nx\t1\t1\n", "line 2: 's' is no number"),
    ("benchmarks/ppo_tiny.tsv", "s\tmax_rss\tcpu_time\n-1\t1\t1\n", "line 2: 's' is no number"),
    ("benchmarks/ppo_tiny.tsv", b"\xff", "no table in UTF-8"),
    ("logs/ppo_tiny.log", "ran: {}\n", "no 'began'"),
    ("ppo_tiny/timing.csv", "step,generation\n1,2\n", "line 2: 'reward' is no number"),
    ("ppo_tiny/metrics.csv", "step,response_length\n1,nan\n", "'response_length' is no number"),
    ("replies_tiny/refine-af/0/0.jsonl", '{"tokens": "5"}\n', "line 1: 'tokens' is no count: '5'"),
]


@pytest.mark.parametrize(("file", "content", "said"), BROKEN)
def test_a_damaged_file_ends_the_job_in_one_message(
    tmp_path: Path, file: str, content: str | bytes, said: str
) -> None:
    flags = make_stages(tmp_path)
    (tmp_path / file).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(SystemExit) as ended:
        run(main, arguments=flags)
    assert said in str(ended.value.code) and file in str(ended.value.code)
    assert not (tmp_path / "cost.csv").exists()


def test_a_run_without_benchmarks_is_told(tmp_path: Path) -> None:
    flags = make_stages(tmp_path)
    flags[flags.index("--benchmarks") + 1] = str(tmp_path / "nowhere")
    with pytest.raises(SystemExit, match="nowhere: holds no benchmark of a job"):
        run(main, arguments=flags)
