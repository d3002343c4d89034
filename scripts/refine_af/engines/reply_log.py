"""Every reply of an engine on disk before it is used, so that none is asked for twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from refine_af.engines.replies import Engine, Finish, LateEngine, Reply
from refine_af.errors import InputError, shown
from refine_af.files.journal import Journal
from refine_af.files.rows import as_records

MOST = 2**63  # what counts anything here is below


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
    """An engine whose replies are kept in a journal."""

    def __init__(self, path: Path, engine: Engine) -> None:
        self._journal = Journal(path)
        self._engine = engine
        self._rounds: dict[int, dict[int, Reply]] = {}
        self._path = path
        for line, row in enumerate(as_records(self._journal.rows, LoggedReply), 1):
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
            known[row.request] = Reply(row.text, row.finish, row.prompt_tokens, row.tokens)

    def close(self) -> None:
        self._journal.close()

    @property
    def loading_s(self) -> float:
        """How long the engine has been loading so far, which is no time of a round, in seconds."""
        return self._engine.loading_s if isinstance(self._engine, LateEngine) else 0.0

    def known(self, number: int) -> int:
        """How many replies of a round are in the log."""
        return len(self._rounds.get(number, {}))

    def replies(
        self,
        number: int,
        tails: Sequence[str],
        seeds: Sequence[int],
        came: Callable[[int, Reply], None],
    ) -> list[Reply]:
        """The replies of a round, in order: those in the log, and the engine's for the others.

        `came` hears of each new one, with how many there are. On disk when this returns.
        """
        replies = self._rounds.pop(number, {})
        if odd := sorted(request for request in replies if request >= len(tails)):
            raise InputError(
                f"{self._path}: round {number} has a reply to request {odd[0]} of {len(tails)}"
            )
        count = 0
        if len(replies) < len(tails):
            for request, reply in self._engine(tails, seeds, answered=frozenset(replies)):
                # An engine that writes a round in one go repeats what the log has.
                if request not in replies:
                    self._journal.append([asdict(LoggedReply(number, request, **asdict(reply)))])
                    replies[request] = reply
                    count += 1
                    came(count, reply)
            self._journal.sync()
        return [replies[request] for request in range(len(tails))]
