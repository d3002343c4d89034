"""The live view, on events as Snakemake sends them and on a run of its own."""

from __future__ import annotations

import io
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from refine_af.jobs.progress import Progress
from refine_af.jobs.record import tell_start
from snakemake_logger_plugin_live.course import NOTHING_TO_DO, TARGETS, Course
from snakemake_logger_plugin_live.job_logs import fitted, last_message, last_progress, plain
from snakemake_logger_plugin_live.screen import Screen
from snakemake_logger_plugin_live.words import RULES, STAGES, stage_of, work_of

ROOT = Path(__file__).resolve().parents[1]


def event(kind: LogEvent | None, message: str = "", /, **fields: Any) -> logging.LogRecord:
    level = logging.ERROR if kind in (LogEvent.ERROR, LogEvent.JOB_ERROR) else logging.INFO
    named = {"event": kind} if kind else {}
    return logging.makeLogRecord({"msg": message, "levelno": level, **named, **fields})


def planned(**stats: int) -> logging.LogRecord:
    return event(LogEvent.RUN_INFO, stats={**stats, "total": sum(stats.values())})


def started(job: int, rule: str, log: Path | str = "no.log", **wildcards: str) -> logging.LogRecord:
    return event(LogEvent.JOB_INFO, jobid=job, rule_name=rule, wildcards=wildcards, log=[str(log)])


def finished(job: int) -> logging.LogRecord:
    return event(LogEvent.JOB_FINISHED, job_id=job)


def failed(course: Course, job: int, rule: str, log: Path, ending: str) -> list[str]:
    """The two records of a failed shell command: the quoted command's end, then the job's."""
    command = f"python scripts/{rule}.py > {log} 2>&1"
    wall = (
        f"RuleException:\nCalledProcessError in file x.smk, line 9:\nCommand '{command}' {ending}"
    )
    lines = course.follow(event(LogEvent.ERROR, wall, exception="RuleException"), 9)
    error = event(LogEvent.JOB_ERROR, jobid=job, rule_name=rule, log=[str(log)], shellcmd=command)
    return lines + course.follow(error, 9)


def test_every_rule_has_words() -> None:
    texts = [file.read_text() for file in (ROOT / "rules").glob("*.smk")]
    names = {
        name for text in texts for name in re.findall(r"^(?:rule|checkpoint) (\w+):", text, re.M)
    }
    names |= {name for text in texts for name in re.findall(r'f"(\w+)_\{shard\}"', text)}
    assert names == set(RULES) | TARGETS - {"all"}
    assert {stage for stage, _ in RULES.values()} <= set(STAGES)


def test_a_replicate_is_told_by_its_number_and_the_first_has_none() -> None:
    first = {"model": "tiny", "replicate": ""}
    assert work_of("ppo", first) == "training by PPO · tiny"
    assert work_of("ppo", first | {"replicate": "_r2"}) == "training by PPO · tiny · r2"
    cell = {"model": "tiny", "cell": "refine-af_r2_120_r3"}
    assert work_of("sft", cell) == "fine-tuning · tiny · refine-af_r2_120_r3"


def test_jobs_that_are_planned_on_the_way_count() -> None:
    course = Course(Path())
    course.follow(planned(all=1, instances_counted=1, instances=1), 0)
    assert course.overview().startswith("0 of 2 jobs done")
    course.follow(started(1, "instances_counted"), 1)
    course.follow(finished(1), 2)
    course.follow(event(LogEvent.PROGRESS, done=1, total=4), 2)
    assert course.overview().startswith("1 of 3 jobs done")
    for job, rule in ((2, "instances_segment"), (3, "instances")):
        course.follow(started(job, rule), 3)
        course.follow(finished(job), 4)
        course.follow(event(LogEvent.PROGRESS, done=job, total=4), 4)
    assert course.upcoming() == ""
    assert course.end(9) == ["All 3 jobs done in 9 s."]


def test_a_run_from_plan_to_end(tmp_path: Path) -> None:
    log = tmp_path / "ppo.log"
    course = Course(origin=tmp_path)
    plan = course.follow(planned(ppo=1, sft=2, report=1, all=1), 100)
    assert plan[0] == "4 jobs to make:"
    assert [line.split()[0] for line in plan[1:]] == ["1", "2", "1"]
    assert course.follow(started(1, "ppo", log, model="tiny"), 101) == ["▸ training by PPO · tiny"]
    assert course.upcoming() == "next: fine-tuning 2, report 1"
    course.now = 104
    assert course.status() == [("training by PPO · tiny", "3 s")]
    log.write_text("loading\nprogress: 2/60 PPO steps\nprogress: 3/60 PPO steps · reward 0.41\n")
    assert course.status() == [("training by PPO · tiny", "3/60 PPO steps · reward 0.41")]
    assert course.follow(finished(1), 163) == ["✓ training by PPO · tiny · 1 min 2 s"]
    assert course.overview() == "1 of 4 jobs done · 1 min 3 s"
    for job, rule in ((2, "sft"), (3, "sft"), (4, "report"), (0, "all")):
        course.follow(started(job, rule), 164)
        course.follow(finished(job), 170)
    assert course.end(170) == ["All 4 jobs done in 1 min 10 s."]
    assert course.end(171) == []


def test_a_failure_gives_rule_message_and_log(tmp_path: Path) -> None:
    log = tmp_path / "results/logs/sft.log"
    log.parent.mkdir(parents=True)
    log.write_text(
        "progress: 1/2 steps\nWarning: slow\nerror: seeds.jsonl, line 3: no text\n  as said\n"
    )
    course = Course(origin=tmp_path)
    course.follow(planned(sft=1), 0)
    course.follow(started(1, "sft", log, model="tiny", size="120"), 1)
    assert failed(course, 1, "sft", log, "returned non-zero exit status 1.") == [
        "✗ failed: fine-tuning · tiny · 120 (rule sft)",
        "    error: seeds.jsonl, line 3: no text",
        "    as said",
        "  log: results/logs/sft.log",
    ]
    wall = "WorkflowError:\nAt least one job did not complete successfully."
    assert course.follow(event(LogEvent.ERROR, wall, exception="WorkflowError"), 9) == []
    assert course.end(9)[0] == "Stopped after 9 s: 1 job failed, 0 of 1 done."


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        ("returned non-zero exit status 137.", "killed from outside (signal 9)"),
        ("died with <Signals.SIGKILL: 9>.", "killed from outside (signal 9)"),
        ("returned non-zero exit status 3.", "its log says nothing; the command returned non-zero"),
    ],
)
def test_a_failure_without_words_says_how_it_ended(ending: str, said: str, tmp_path: Path) -> None:
    course = Course(origin=tmp_path)
    course.follow(planned(ppo=1), 0)
    course.follow(started(1, "ppo"), 1)
    assert said in failed(course, 1, "ppo", tmp_path / "none.log", ending)[1]


def test_an_interrupted_job_has_not_failed(tmp_path: Path) -> None:
    course = Course(origin=tmp_path)
    course.follow(planned(ppo=1), 0)
    course.follow(started(1, "ppo"), 1)
    lines = failed(course, 1, "ppo", tmp_path / "none.log", "died with <Signals.SIGINT: 2>.")
    assert lines == ["■ interrupted: training by PPO"]
    assert course.end(9)[0] == "Stopped after 9 s: 0 of 1 done."


def test_a_retried_job_counts_once(tmp_path: Path) -> None:
    course = Course(origin=tmp_path)
    course.follow(planned(ppo=1), 0)
    course.follow(started(1, "ppo"), 1)
    failed(course, 1, "ppo", tmp_path / "none.log", "returned non-zero exit status 1.")
    assert course.follow(started(1, "ppo"), 9) == ["▸ again: training by PPO"]
    course.follow(finished(1), 10)
    assert course.end(10) == ["All 1 job done in 10 s."]


def test_nothing_to_do_is_one_line(tmp_path: Path) -> None:
    course = Course(origin=tmp_path)
    done = "Nothing to be done (all requested files are present and up to date)."
    assert course.follow(event(None, done), 1) == [NOTHING_TO_DO]
    assert course.follow(planned(), 1) == [NOTHING_TO_DO]  # what Snakemake says with --until
    assert course.end(2) == []


def test_a_dry_run_tells_the_plan_once(tmp_path: Path) -> None:
    course = Course(origin=tmp_path, dry=True)
    assert course.follow(planned(ppo=1), 0)[0] == "1 job would be made:"
    assert course.follow(started(1, "ppo"), 1) + course.follow(planned(ppo=1), 2) == []
    assert course.end(3) == []


def test_an_error_before_any_job_is_told_without_its_heading(tmp_path: Path) -> None:
    course = Course(origin=tmp_path)
    message = 'WorkflowError in file "Snakefile", line 8:\nconfig.yaml: no such key\x1b[2J'
    told = course.follow(event(LogEvent.ERROR, message, exception="WorkflowError"), 0)
    assert told == ["config.yaml: no such key"]


def test_a_folder_that_is_locked_is_told_with_what_to_do(tmp_path: Path) -> None:
    wall = "Error: Directory cannot be locked. Please make sure\nIt can be removed with --unlock."
    (told,) = Course(tmp_path).follow(event(LogEvent.ERROR, wall, exception="LockException"), 0)
    assert "was killed there" in told and "--unlock" in told and GOES_ON in told


def test_hostile_text_cannot_leave_its_line(tmp_path: Path) -> None:
    log = tmp_path / "job.log"
    text = "progress: 1/2 a\x1b[2Jb\x1b]0;title\x07c\x08\u202ed\u2028e\tf\x9bg\u0000h"
    log.write_bytes(text.encode() + b"\xff\xfe\n\x1b[31merror: x\n")
    assert last_progress([str(log)]) == "1/2 abcd e fgh��"
    assert last_message([str(log)]) == ["error: x"]
    assert last_progress([str(tmp_path / "absent.log")]) == ""
    assert plain("a\rb\nc") == "a b c"


def test_a_long_log_is_read_from_its_end(tmp_path: Path) -> None:
    log = tmp_path / "job.log"
    log.write_text("progress: 1/9 steps\n" + "noise\n" * 50_000 + "progress: 8/9 steps\n")
    assert last_progress([str(log)]) == "8/9 steps"
    assert last_message([str(log)]) == ["noise"] * 12


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [("abcdef", 6, "abcdef"), ("abcdef", 5, "abcd…"), ("日本語", 5, "日本…"), ("ab", 0, "")],
)
def test_lines_fit_the_terminal(text: str, width: int, shown: str) -> None:
    assert fitted(text, width) == shown


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_the_block_is_redrawn_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    screen = Screen(stream)
    screen.show([], ["one", "two"])
    screen.show(["kept"], ["x" * 200])
    screen.show([], ["x" * 200])
    screen.show([], [])
    assert stream.getvalue() == "one\ntwo\n\r\x1b[2A\x1b[Jkept\n" + "x" * 78 + "…\n\r\x1b[1A\x1b[J"


def test_no_escape_sequence_reaches_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = io.StringIO()
    screen = Screen(stream)
    screen.show(["kept"], ["block"])
    assert stream.getvalue() == "kept\n"


SNAKEFILE = """
rule all:
    input: "made.txt", "never.txt"
rule sft:
    output: "made.txt"
    log: "sft.log"
    shell: "(echo progress: 1/1 step; touch {output}) > {log} 2>&1"
rule report:
    input: "made.txt"
    output: "never.txt"
    log: "report.log"
    shell: "(echo 'error: no rows in made.txt'; exit 1) > {log} 2>&1"
"""


@pytest.mark.slow
def test_snakemake_finds_it_and_is_understood(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--logger", "live", "--"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}

    def run(target: str) -> tuple[int, list[str]]:
        done = subprocess.run(
            [*command, target], capture_output=True, text=True, cwd=tmp_path, env=environment
        )
        return done.returncode, done.stderr.splitlines()

    status, lines = run("all")
    assert status == 1
    assert lines[:5] == [
        "2 jobs to make:",
        "    1  models fine-tuned on the triplets",
        "    1  the report",
        "▸ fine-tuning",
        "✓ fine-tuning · 0 s",
    ]
    assert lines[5:9] == [
        "▸ writing the report",
        "✗ failed: writing the report (rule report)",
        "    error: no rows in made.txt",
        "  log: report.log",
    ]
    assert lines[-2].startswith("Stopped after ")
    assert run("made.txt") == (0, [NOTHING_TO_DO])


def test_what_an_earlier_run_did_counts_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Progress(6, "PPO steps").skip(4)
    log = tmp_path / "ppo.log"
    log.write_text(capsys.readouterr().out)
    assert last_progress([str(log)]) == "4/6 PPO steps"


@pytest.mark.slow
def test_the_papers_plan_is_a_few_short_lines() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}

    def lines(*words: str) -> list[str]:
        command = [sys.executable, "-m", "snakemake", "-n", *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    told = lines()
    assert re.fullmatch(r"\d+ jobs would be made:", told[0])
    assert len(told) < 12 and max(map(len, told)) < 80
    commands = lines("-p", "-f", "results/superni_instances.jsonl")
    assert sum(" superni_replies.py instances " in line.replace("/", " ") for line in commands) == 1


def test_pages_for_raters_are_no_answers_to_tasks() -> None:
    assert {stage_of(rule) for rule in ("ratings_page", "ratings_summary")} == {"ratings"}
    assert STAGES["ratings"] == "pages for raters, and what raters sent back"


def test_a_plugin_that_is_found_brings_no_modules_of_its_checkout() -> None:
    """Snakemake imports every plugin first, and another checkout's Snakefile has its own."""
    code = "import snakemake_logger_plugin_live, sys; print('refine_af' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "scripts", capture_output=True, text=True
    )
    assert (found.stdout, found.stderr) == ("False\n", "")


# On a cluster

OF_A_JOB = """Command 'python scripts/ppo.py --settings '{"said": "CANCELLED AT"}'' %s
Error in rule ppo:
Storing output in storage.
srun: error: node7: task 0: %s
"""
STATE = "SLURM-job '1' failed, SLURM status is: '%s'. Detailed failure reason unavailable"
GOES_ON = "the same command goes on where it was"
LIMIT = f"ended by its time limit: {GOES_ON}. To give it longer, state the minutes as "
MEMORY = "killed: it needed more memory than it had asked for. Raise compute.ppo.mem_mb in "
KILLED = f"killed from outside (signal 9): was there memory enough? If so, {GOES_ON}"


@pytest.mark.parametrize(
    ("state", "log", "said"),
    [
        ("TIMEOUT", "", f"{LIMIT}compute.ppo.runtime in config.yaml"),
        # As of a job of a group, whose state Snakemake does not tell.
        (
            "FAILED",
            "slurmstepd: error: *** JOB 1 ON n CANCELLED AT 9:00 DUE TO TIME LIMIT ***\n",
            f"{LIMIT}compute.ppo.runtime in config.yaml",
        ),
        (
            "FAILED",
            "slurmstepd-n: error: Detected 1 oom-kill event(s) in StepId=1.0.\n"
            + OF_A_JOB % ("died with <Signals.SIGKILL: 9>.", "Out Of Memory"),
            f"{MEMORY}config.yaml: then {GOES_ON}",
        ),
        ("OUT_OF_MEMORY", "", f"{MEMORY}config.yaml: then {GOES_ON}"),
        (
            "CANCELLED",
            OF_A_JOB % ("died with <Signals.SIGTERM: 15>.", "Killed"),
            f"cancelled, by `scancel` or by who runs the cluster: {GOES_ON}",
        ),
        ("NODE_FAIL", "", f"its node failed: {GOES_ON}, on another node"),
        (
            "FAILED",
            OF_A_JOB % ("died with <Signals.SIGKILL: 9>.", "Exited with exit code 1"),
            KILLED,
        ),
        ("FAILED", OF_A_JOB % ("returned non-zero exit status 137.", "Exited"), KILLED),
        (
            "FAILED",
            OF_A_JOB % ("returned non-zero exit status 1.", "Exited with exit code 1"),
            "error: seeds.jsonl, line 3: no text",
        ),
    ],
)
def test_a_clusters_end_of_a_job_is_told_with_the_next_step(
    state: str, log: str, said: str, tmp_path: Path
) -> None:
    own, of_slurm = tmp_path / "ppo.log", tmp_path / "1.log"
    own.write_text("error: seeds.jsonl, line 3: no text\n")
    of_slurm.write_text(log)
    course = Course(origin=tmp_path)
    course.follow(planned(ppo=1), 0)
    course.follow(started(1, "ppo", own), 1)
    fields = {"jobid": 1, "rule_name": "ppo", "log": [str(own), str(of_slurm)], "shellcmd": "x"}
    told = course.follow(event(LogEvent.JOB_ERROR, rule_msg=STATE % state, **fields), 9)
    assert told == [
        "✗ failed: training by PPO (rule ppo)",
        f"    {said}",
        "  log: ppo.log",
        "  log: 1.log",
    ]


def test_a_group_is_told_by_its_cluster_and_each_of_its_jobs_by_the_same(tmp_path: Path) -> None:
    log = tmp_path / "1.log"
    log.write_text("slurmstepd: error: *** JOB 1 ON n CANCELLED AT 9:00 DUE TO TIME LIMIT ***\n")
    course = Course(origin=tmp_path)
    course.follow(planned(superni_replies_0=2), 0)
    jobs = [{"jobid": number} for number in (1, 2)]
    for job in jobs:
        course.follow(started(job["jobid"], "superni_replies_0"), 1)
    told = event(LogEvent.GROUP_ERROR, aux_logs=[str(log)], job_error_info=jobs)
    assert course.follow(told, 9) == []
    for job in jobs:
        rule = {"rule_name": "superni_replies_0", "log": ["no.log"], "rule_msg": None}
        lines = course.follow(event(LogEvent.JOB_ERROR, shellcmd="x", **job, **rule), 9)
        assert f"    {LIMIT}compute.superni.runtime in config.yaml" in lines
        assert "  log: 1.log" in lines


@pytest.mark.parametrize(
    ("refusal", "advice"),
    [
        ("Requested time limit is invalid (missing or exceeds some limit)", "compute.ppo.runtime"),
        ("invalid partition specified: gpus", "Name your cluster's partitions"),
        ("Invalid account or account/partition combination specified", "slurm_account"),
        ("Requested node configuration is not available", "No node of the partition has that much"),
        ("Job violates accounting/QOS policy (job submit limit, user's size)", "`jobs` in profile"),
    ],
)
def test_what_slurm_does_not_take_is_told_with_the_next_step(
    refusal: str, advice: str, tmp_path: Path
) -> None:
    said = f"sbatch: error: Batch job submission failed: {refusal}"
    message = f"SLURM sbatch failed. The error message was '{said}'.\n    sbatch call:\n        x\n"
    course = Course(origin=tmp_path)
    course.follow(planned(ppo=1), 0)
    course.follow(started(1, "ppo"), 1)
    fields = {"jobid": 1, "rule_name": "ppo", "log": ["no.log"], "shellcmd": "x"}
    told = course.follow(event(LogEvent.JOB_ERROR, rule_msg=message, **fields), 9)
    assert told[1:3] == ["    SLURM did not take the job:", f"    {said}"]
    assert advice in told[3] and len(told) == 5


def test_the_section_that_a_message_names_is_that_of_the_rule() -> None:
    text = "\n".join(file.read_text() for file in sorted((ROOT / "rules").glob("*.smk")))
    rules = re.split(r'^ *rule (?=\w+:)|^ +name:\n +f"', text, flags=re.M)[1:]
    asked = {rule: re.search(r'runtime=plan\.runtime\("(\w+)"\)', rule) for rule in rules}
    sections = {re.split(r"\W", rule)[0]: found[1] for rule, found in asked.items() if found}
    assert len(sections) > 10
    for rule, section in sections.items():
        assert rule.partition("_")[0] == section


def test_a_job_that_a_cluster_starts_again_is_told_once_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "ppo.log"

    def begins(job: int, second: int) -> None:
        monkeypatch.setenv("SLURM_JOB_ID", str(job))
        tell_start(f"2026-01-31T12:00:{second:02}Z")
        log.write_text(capsys.readouterr().out + "progress: 0/9 PPO steps\n")

    begins(1, 0)
    course = Course(origin=tmp_path)
    course.follow(planned(ppo=1), 0)
    course.follow(started(1, "ppo", log), 1)
    assert course.restarts() == []
    begins(2, 10)
    assert course.restarts() == [], "the first start of this run's job; the log was another run's"
    log.unlink()
    assert course.restarts() == []
    for second in (20, 30):
        begins(2, second)
        (told,) = course.restarts()
        assert told.startswith("↻ training by PPO: started again by SLURM") and "goes on" in told
        assert course.restarts() == []


def test_a_preemption_is_told_with_what_to_do(tmp_path: Path) -> None:
    warning = event(None, "\n===== A Job preemption  occured! =====\nLeave Snakemake running")
    warning.levelno = logging.WARNING
    (told,) = Course(origin=tmp_path).follow(warning, 0)
    assert told.startswith("SLURM has preempted a job.") and GOES_ON in told
