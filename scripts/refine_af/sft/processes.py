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
        """Whether this is the process that writes."""
        return self.rank == 0

    def told(self, value: Any) -> Any:
        """The first process's `value`, in every process; it waits until all have called it."""
        if self.count == 1:
            return value
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0]

    @contextmanager
    def together(self, held: AbstractContextManager[Held]) -> Iterator[Held]:
        """Enter `held` in the first process alone, and give what it gives in every process."""
        if self.first:
            with held as value:
                yield self.told(value)
        else:
            yield self.told(None)


@contextmanager
def joined() -> Iterator[Processes]:
    """The job's processes, connected to each other within the block.

    A process that was started by itself is alone.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Processes(1, 0)
        return
    import torch
    from accelerate import PartialState

    # The others wait for the first, which may wait for a lock as long as another job runs.
    state = PartialState(cpu=not torch.cuda.is_available(), timeout=timedelta(days=30))
    yield Processes(state.num_processes, state.process_index)
    state.destroy_process_group()
