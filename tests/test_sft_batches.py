"""Which rows pass when: the same on any hardware, every row once an epoch."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_af.sft.batches import Batches, fitting


@given(
    rows=st.integers(1, 60),
    micro_batch=st.integers(1, 4),
    processes=st.integers(1, 4),
    accumulation=st.integers(1, 4),
    epoch=st.integers(0, 3),
)
def test_an_update_is_the_same_rows_on_any_hardware(
    rows: int, micro_batch: int, processes: int, accumulation: int, epoch: int
) -> None:
    whole = micro_batch * processes * accumulation
    alone = Batches(rows, whole, whole, seed=3, epoch=epoch)
    ranks = [
        Batches(rows, whole, micro_batch, 3, processes, rank, epoch) for rank in range(processes)
    ]
    taken = [list(rank) for rank in ranks]
    assert {len(entry) for entry in taken} == {len(ranks[0])}, "else one waits for the others"
    assert ranks[0].accumulation == accumulation
    starts = range(0, len(ranks[0]), accumulation)
    steps = [[entry[start : start + accumulation] for start in starts] for entry in taken]
    assert len(steps[0]) == alone.updates == len(list(alone))
    for index, update in enumerate(alone):
        assert alone.update(epoch * alone.updates + index) == update
        seen = [row for entry in steps for batch in entry[index] for row in batch if row != rows]
        assert sorted(seen) == sorted(update)
    assert Counter(row for update in alone for row in update) == Counter(range(rows))


def test_the_last_update_of_an_epoch_takes_what_is_left() -> None:
    # 9 rows, 4 an update: 4, 4, 1; two processes of one row at a time take turns
    first, second = (Batches(9, 4, 1, seed=0, processes=2, rank=rank) for rank in (0, 1))
    order = [row for update in range(3) for row in first.update(update)]
    assert list(first) == [[row] for row in order[0::2]]
    assert list(second) == [[row] for row in order[1::2]] + [[9]]
    assert len(first) == len(second) == 5
    assert [first.epochs_after(updates) for updates in (1, 2, 3, 4)] == [4 / 9, 8 / 9, 1, 13 / 9]


def test_every_epoch_and_every_seed_has_an_order_of_its_own() -> None:
    orders = {
        tuple(Batches(20, 20, 20, seed=seed).update(epoch)) for seed in (0, 1) for epoch in (0, 1)
    }
    assert len(orders) == 4


@pytest.mark.parametrize(
    ("micro_batch", "share", "expected"), [(8, 8, 8), (8, 4, 4), (3, 8, 2), (5, 6, 3), (1, 7, 1)]
)
def test_a_micro_batch_divides_its_share(micro_batch: int, share: int, expected: int) -> None:
    assert fitting(micro_batch, share) == expected


@given(st.integers(1, 300), st.integers(1, 300))
def test_a_micro_batch_is_the_largest_that_divides(micro_batch: int, share: int) -> None:
    divisors = [size for size in range(1, share + 1) if share % size == 0]
    assert fitting(micro_batch, share) == max(n for n in divisors if n <= micro_batch)


def test_a_micro_batch_of_the_largest_share_is_found_soon() -> None:
    assert fitting(10**9, 10**12) == 10**9
    assert fitting(10**9, 999_983 * 999_979) == 999_983, "two primes"
