"""The replies that an engine has given so far, in a journal: none is asked for twice."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from refine_af.engines.replies import Finish, Reply
from refine_af.errors import InputError, shown
from refine_af.files.journal import Journal

MOST = 2**63  # every count of a log is below this


@dataclass(frozen=True)
class LoggedReply:
    """A reply as a line of the log: `request` counts the prompts of a `round`."""

    round: int
    request: int
    text: str
    finish: Finish
    prompt_tokens: int
    tokens: int


class ReplyLog:
    """The replies to rounds of prompts, as far as they have come.

    InputError, with file and line, where the log is damaged or has two replies to a request.
    """

    def __init__(self, path: Path) -> None:
        self._journal = Journal(path)
        self._rounds: dict[int, dict[int, Reply]] = {}
        self._path, self._lines = path, len(self._journal.rows)
        for line, row in enumerate(self._journal.records(LoggedReply), 1):
            known = self._rounds.setdefault(row.round, {})
            if row.request in known:
                raise InputError(
                    f"{path}, line {line}: round {row.round} has a reply to request "
                    f"{row.request} already"
                )
            for name in ("round", "request", "prompt_tokens", "tokens"):
                if not 0 <= getattr(row, name) < MOST:
                    value = shown(getattr(row, name))
                    raise InputError(f"{path}, line {line}: {name!r} is no count: {value}")
            known[row.request] = reply_in(row)

    def close(self) -> None:
        """Close the file."""
        self._journal.close()

    def known(self, number: int, requests: int) -> dict[int, Reply]:
        """The replies in the log to round `number`, which has `requests` prompts, by request.

        InputError where there is one to a request that the round does not have.
        """
        known = self._rounds.get(number, {})
        if odd := sorted(request for request in known if request >= requests):
            raise InputError(
                f"{self._path}: round {number} has a reply to request {odd[0]} of {requests}"
            )
        return dict(known)

    @property
    def lines(self) -> int:
        """How many replies it has."""
        return self._lines

    def add(self, number: int, request: int, reply: Reply) -> None:
        """Note a reply: safe from kill -9 on return, from a power cut after `sync`."""
        self._journal.append([asdict(LoggedReply(number, request, **asdict(reply)))])
        self._lines += 1

    def sync(self) -> None:
        """Return once every reply is on disk."""
        self._journal.sync()


def reply_in(row: LoggedReply) -> Reply:
    """The reply that a line of the log holds."""
    return Reply(row.text, row.finish, row.prompt_tokens, row.tokens)
