"""The foot of the page: when, where, by which code and from what the run was made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from refine_af.report.account import Account
from refine_af.report.pages import Html, paragraph, section, table, tag
from refine_af.report.wording import counted

SHORT = 16  # digits of a digest that the page shows
Row = Mapping[str, Any]


def provenance_section(account: Account) -> Html:
    """By which code, where and when the jobs ran, and digests of what they began from."""
    found = account.provenance
    without = found["jobs_without_record"]
    untold = f"{counted(without, 'job')} left no record." if without else ""
    return section(
        "provenance",
        "Where this comes from",
        paragraph(
            f"As the {counted(found['jobs'], 'job')} of this run that trained, wrote, scored or "
            "compared say themselves at the end of their logs; where they differ, each kind "
            "stands here with its number of jobs.",
            untold,
        ),
        tag("ul", *(tag("li", tag("strong", name), f": {told}") for name, told in _rows(account))),
        table(
            f"What it began from, with the first {SHORT} digits of each SHA-256",
            ("", "name", "digest"),
            [[row["what"], row["name"], row["sha256"][:SHORT] or "–"] for row in found["origins"]],
        ),
        paragraph(
            "The digest of a folder is that of the lines that sha256sum prints of its files, by "
            "name. A checkpoint of the hub is named with its commit, by which every file was "
            "checked. All digits stand in provenance.json beside this page."
        ),
    )


def _rows(account: Account) -> Iterator[tuple[str, str]]:
    found = account.provenance
    yield from _kinds("code", found["code"], _code)
    yield from _kinds("machine", found["machines"], _machine)
    yield from _kinds("software", found["software"], _software)
    yield "first job began", found["first_job_began"] or "–"
    yield "last job ended", found["last_job_ended"] or "–"
    yield "SHA-256 of config.yaml, resolved", account.configuration_sha256[:SHORT]


def _kinds(name: str, kinds: Sequence[Row], told: Any) -> Iterator[tuple[str, str]]:
    for kind in kinds:
        jobs = f" ({counted(kind['jobs'], 'job')})" if len(kinds) > 1 else ""
        yield name, f"{told(kind)}{jobs}"
    if not kinds:
        yield name, "–"


def _code(kind: Row) -> str:
    if not kind["commit"]:
        return "no git"
    return f"commit {kind['commit']}{', edited since' if kind['dirty'] else ''}"


def _machine(kind: Row) -> str:
    gpus = [str(name) for name in kind["gpus"]]
    named = [f"{gpus.count(name)} × {name}" for name in dict.fromkeys(gpus)]
    parts = [f"{kind['system']}, {kind['cpu']}", counted(kind["cores"], "core")]
    parts += [f"{kind['memory_gb']:,} GB", *(named or ["no GPU seen"])]
    return ", ".join(parts)


def _software(kind: Row) -> str:
    named = [f"{name} {version}" for name, version in kind["libraries"].items()]
    return ", ".join([f"Python {kind['python']}", *named])
