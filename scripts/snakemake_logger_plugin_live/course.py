"""The course of a run: what is planned, runs, is done and comes next, from Snakemake's events."""

import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from logging import WARNING, LogRecord
from pathlib import Path
from typing import Any

from snakemake_logger_plugin_live.causes import AGAIN, ENDING, LOCKED, PREEMPTED, cause_of
from snakemake_logger_plugin_live.job_logs import last_message, last_progress, plain, start_of
from snakemake_logger_plugin_live.words import STAGES, stage_of, work_of

NOTHING_TO_DO = "Nothing to do: everything is made and up to date."
# They only name files.
TARGETS = {"all", "data", "exports", "browser", "adapters", "scores", "ratings"}

_INTERRUPTED = re.compile(r"status 130|SIGINT")
_HEADING = re.compile(r"\w+(?: in (?:file|rule) .*)?:$")


@dataclass(frozen=True)
class Job:
    """A started job: its rule, its work in words, its log files, when it began (seconds).

    `start` is what its log says of its start; that of an earlier run until the job has `begun`.
    """

    rule: str
    work: str
    logs: tuple[str, ...]
    began: float
    start: bytes = b""
    begun: bool = False


@dataclass
class Course:
    """Follows one event after another; each gives the lines that are worth keeping on the screen.

    `origin` is the folder that paths are shown relative to; `starts` gives each job's start a
    line of its own; `dry` is a run that makes nothing; `commands` shows each job's command.
    """

    origin: Path
    starts: bool = True
    dry: bool = False
    commands: bool = False
    now: float = 0.0
    began: float = 0.0
    total: int = 0
    done: int = 0
    waiting: Counter[str] = field(default_factory=Counter)
    running: dict[int, Job] = field(default_factory=dict)
    failed: set[int] = field(default_factory=set)
    _endings: dict[str, str] = field(default_factory=dict)
    _of_groups: dict[int, list[str]] = field(default_factory=dict)  # SLURM's logs by job
    _ended: bool = False
    _targets: int = 0

    def follow(self, record: LogRecord, now: float) -> list[str]:
        """The lines to print for a record of Snakemake's logger that came at `now` seconds."""
        self.now = now
        event = getattr(record, "event", None)
        fields = vars(record)
        if event == "run_info":
            return self._planned(fields["stats"])
        if event == "progress":
            return self._counted(fields["total"])
        if event == "job_info":
            return [] if self.dry else self._job_started(fields)
        if event == "shellcmd" and self.commands:
            return [plain(str(fields["shellcmd"]))]
        if event == "job_finished":
            return self._job_finished(fields["job_id"])
        if event == "group_error":
            jobs = [told["jobid"] for told in fields["job_error_info"]]
            self._of_groups |= dict.fromkeys(jobs, fields["aux_logs"])
            return []
        if event == "job_error":
            return self._job_failed(fields)
        if event == "error":
            return self._error(str(record.msg), fields["exception"])
        return self._remark(str(record.msg), record.levelno) if event is None else []

    def overview(self) -> str:
        """How far the run is: `17 of 42 jobs done · 3 min 12 s`."""
        return f"{self.done} of {self.total} jobs done · {_duration(self.now - self.began)}"

    def status(self) -> list[tuple[str, str]]:
        """Each running job in words, and its own latest progress or the time it has taken."""
        return [
            (job.work, last_progress(job.logs) or _duration(self.now - job.began))
            for job in self.running.values()
        ]

    def restarts(self) -> list[str]:
        """A line for each running job that a cluster has started again since the last call.

        Snakemake is told nothing of it, but a job's log says when it began.
        """
        lines = []
        for number, job in self.running.items():
            start = start_of(job.logs)
            if start and start != job.start:
                lines += [f"↻ {job.work}: {AGAIN}"] if job.begun else []
                self.running[number] = replace(job, start=start, begun=True)
        return lines

    def upcoming(self) -> str:
        """The stages with jobs yet to start, in the order of the flow: `next: PPO 1, report 1`."""
        stages = _by_stage(self.waiting)
        return "next: " + ", ".join(f"{name} {count}" for name, count in stages) if stages else ""

    def end(self, now: float) -> list[str]:
        """The last words; none where no job was planned, or where they were said before."""
        self.now = now
        if not self.total or self.dry or self._ended:
            return []
        self._ended = True
        took = _duration(self.now - self.began)
        if self.done == self.total:
            return [f"All {_jobs(self.total)} done in {took}."]
        failures = f"{_jobs(len(self.failed))} failed, " if self.failed else ""
        return [
            f"Stopped after {took}: {failures}{self.done} of {self.total} done.",
            "Finished work is kept: the same command goes on from there.",
        ]

    def _planned(self, stats: Mapping[str, int]) -> list[str]:
        if self.total:
            return []
        self.began = self.now
        none = {"total", *TARGETS}
        self.waiting = Counter({rule: count for rule, count in stats.items() if rule not in none})
        self.total = self.waiting.total()
        self._targets = sum(stats.get(name, 0) for name in TARGETS)
        if not self.total:
            return [NOTHING_TO_DO]
        would = "would be made" if self.dry else "to make"
        lines = [f"{_jobs(self.total)} {would}:"]
        lines += [f"{count:5}  {STAGES[name]}" for name, count in _by_stage(self.waiting)]
        return lines

    def _counted(self, jobs: int) -> list[str]:
        """How many there are in all: some are planned only once others have counted instances."""
        self.total = jobs - self._targets
        return []

    def _job_started(self, fields: Mapping[str, Any]) -> list[str]:
        rule, number = fields["rule_name"], fields["jobid"]
        if rule in TARGETS:
            return []
        again = number in self.failed
        self.failed.discard(number)
        if not again and self.waiting[rule]:
            self.waiting[rule] -= 1
        work = plain(work_of(rule, fields["wildcards"]))
        logs = tuple(map(str, fields["log"]))
        self.running[number] = Job(rule, work, logs, self.now, start_of(logs))
        if again:
            return [f"▸ again: {work}"]
        return [f"▸ {work}"] if self.starts else []

    def _job_finished(self, number: int) -> list[str]:
        job = self.running.pop(number, None)
        if job is None:
            return []
        self.done += 1
        took = _duration(self.now - job.began)
        return [f"✓ {job.work} · {took}"]

    def _job_failed(self, fields: Mapping[str, Any]) -> list[str]:
        job = self.running.pop(fields["jobid"], None)
        rule, logs = fields["rule_name"], fields["log"]
        work = job.work if job else rule
        ending = self._ending_of(fields["shellcmd"] or "")
        if _INTERRUPTED.search(ending):
            return [f"■ interrupted: {work}"]
        self.failed.add(fields["jobid"])
        own = job.logs if job else tuple(logs)
        others = [log for log in logs if log not in own]
        others += self._of_groups.pop(fields["jobid"], [])
        said = cause_of(rule, ending, fields.get("rule_msg") or "", others) or last_message(own)
        return [
            f"✗ failed: {work} (rule {rule})",
            *(f"    {line}" for line in said or last_message(others) or _unsaid(ending)),
            *(f"  log: {plain(os.path.relpath(log, self.origin))}" for log in [*own, *others]),
        ]

    def _ending_of(self, command: str) -> str:
        """How a shell command ended, which Snakemake says before it says that the job failed."""
        command = _squeezed(command)
        told = next((told for told in self._endings if command and command in told), "")
        return self._endings.pop(told, "")

    def _error(self, message: str, exception: str) -> list[str]:
        ending = ENDING.search(message)
        if exception == "RuleException" and ending:
            self._endings[_squeezed(message)] = ending.group(1)
            return []
        if self.total and "At least one job did not complete" in message:
            return []
        if exception == "LockException":
            return [LOCKED]
        lines = [plain(line) for line in message.splitlines() if line.strip()]
        if exception == "WorkflowError" and len(lines) > 1 and _HEADING.match(lines[0]):
            del lines[0]
        return lines

    def _remark(self, message: str, level: int) -> list[str]:
        if message.startswith("Nothing to be done"):
            return [NOTHING_TO_DO]
        if "Job preemption" in message:
            return [PREEMPTED]
        if message.startswith("Complete log(s)"):
            return [plain(message)] if self.failed else []
        if level < WARNING or message.startswith("Exiting because a job execution failed"):
            return []
        return [plain(line) for line in message.splitlines() if line.strip()]


def _unsaid(ending: str) -> list[str]:
    return [f"its log says nothing; the command {ending or 'failed'}"]


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _by_stage(rules: Counter[str]) -> list[tuple[str, int]]:
    counts: Counter[str] = Counter()
    for rule, count in rules.items():
        counts[stage_of(rule)] += count
    return [(name, counts[name]) for name in STAGES if counts[name] > 0]


def _jobs(count: int) -> str:
    return f"{count} job" if count == 1 else f"{count} jobs"


def _duration(seconds: float) -> str:
    """Seconds in words."""
    # Imported at the first use: Snakemake imports every plugin that it finds, before the Snakefile,
    # and this one may stand in another checkout than the Snakefile's own modules.
    from refine_af.jobs.progress import duration

    return duration(seconds)
