"""A server that the job starts: what it serves, when it starts, and where its words are kept."""

from __future__ import annotations

import stat
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from refine_af.engines.replies import Engine, Group, Reply
from refine_af.errors import InputError
from refine_af.files.documents import read_document
from refine_af.jobs.serving import ToServe

LEAST_RANK = 8  # below it some servers know but few ranks
OUTPUT = Path("/dev/fd/1")


class StartedEngine:
    """An engine that is made at its first call: a stage whose replies are known starts nothing."""

    def __init__(
        self, make: Callable[[], Engine], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._make, self._clock = make, clock
        self._made: Engine | None = None
        self._starting_s = 0.0

    @property
    def loading_s(self) -> float:
        """The seconds that the server took to be ready, and what the engine itself loaded."""
        return self._starting_s + (self._made.loading_s if self._made else 0.0)

    @property
    def origin(self) -> str:
        """Which server gave the last reply, as JSON."""
        return self._made.origin if self._made else ""

    def __call__(
        self, groups: Sequence[Group], seeds: Sequence[int], answered: Collection[int] = ()
    ) -> Iterator[tuple[int, Reply]]:
        if self._made is None:
            began = self._clock()
            self._made = self._make()
            self._starting_s = self._clock() - began
        yield from self._made(groups, seeds, answered)


def to_serve(backbone: Path, adapter: Path | None, name: str) -> ToServe:
    """A backbone, with an adapter under a name or none; a whole tuned model in its place.

    InputError where the adapter's adapter_config.json tells no rank.
    """
    from refine_af.models.backbones import is_whole_model

    if adapter is None:
        return ToServe(backbone, {}, 0)
    if is_whole_model(adapter):
        return ToServe(adapter, {}, 0, name)
    path = adapter / "adapter_config.json"
    rank = read_document(path).get("r")
    if not isinstance(rank, int) or not 1 <= rank < 2**16:
        raise InputError(f"{path}: tells no rank of the adapter (r)")
    return ToServe(backbone, {name: adapter}, max(LEAST_RANK, 1 << (rank - 1).bit_length()))


def log_beside(output: Path = OUTPUT) -> Path:
    """The file for what the server says: beside this process's log, such as 0.server.log for 0.log.

    Where the output is no such file, one in a new folder for temporary files.
    """
    log = output.resolve()
    if log.suffix == ".log" and log.exists() and stat.S_ISREG(log.stat().st_mode):
        return log.with_suffix(".server.log")
    return Path(tempfile.mkdtemp(prefix="refine-af-"), "server.log")
