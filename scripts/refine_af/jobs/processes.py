"""The processes of one job, a GPU each, as `accelerate launch` starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

Held = TypeVar("Held")


@dataclass(frozen=True)
class Processes:
    """How many processes share the job, and which of them this is; the first alone writes."""

    count: int
    rank: int

    @property
    def first(self) -> bool:
        return self.rank == 0

    def told(self, value: Any) -> Any:
        """What the first process gives here, in every process, once all have come."""
        if self.count == 1:
            return value
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0]

    @contextmanager
    def together(self, held: AbstractContextManager[Held]) -> Iterator[Held]:
        """What the first process holds for all of them in the block, given in every process."""
        if self.first:
            with held as value:
                yield self.told(value)
        else:
            yield self.told(None)


@contextmanager
def joined() -> Iterator[Processes]:
    """The job's processes, in the block able to talk to each other.

    One that was started by itself is alone.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Processes(1, 0)
        return
    import torch
    from accelerate import PartialState

    # They wait for the first one, which may wait for a lock as long as another job runs.
    state = PartialState(cpu=not torch.cuda.is_available(), timeout=timedelta(days=30))
    yield Processes(state.num_processes, state.process_index)
    state.destroy_process_group()
