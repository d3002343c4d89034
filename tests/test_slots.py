"""Slots against plain lists: whatever enters, grows and leaves, each text's tokens stay its own."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import DynamicCache

from refine_af.engines.slots import Slots

PREFIX = [7, 8, 9]

# What happens next: tails of these lengths enter, or all grow by a token, or some of them leave.
events = st.one_of(
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.just("step"),
    st.just("step"),
    st.sets(st.integers(0, 4), max_size=3),
)


def keys(tokens: list[list[int]]) -> torch.Tensor:
    """Keys that name their tokens: (rows, 1 head, tokens, 1)."""
    return torch.tensor(tokens, dtype=torch.float32)[:, None, :, None]


def prefix(tokens: list[int]) -> DynamicCache:
    cache = DynamicCache()
    cache.update(keys([tokens]), -keys([tokens]), 0)
    return cache


def texts(slots: Slots) -> list[list[int]]:
    """Each live text as its columns hold it, in the order of their positions."""
    (layer,) = slots.layers
    found = []
    for row in range(slots.live):
        columns = [
            column for column in range(slots.column) if int(slots.positions[row, column]) >= 0
        ]
        places = [int(slots.positions[row, column]) for column in columns]
        assert places == list(range(len(columns))), "every position once, from left to right"
        assert torch.equal(layer.keys[row, 0, columns], -layer.values[row, 0, columns])
        found.append([int(layer.keys[row, 0, column, 0]) for column in columns])
    return found


@given(st.lists(events, max_size=40), st.integers(0, 6), st.booleans())
def test_texts_are_what_was_written(happenings: list[object], margin: int, shared: bool) -> None:
    head = PREFIX if shared else []
    longest = len(PREFIX) + 4 + 6
    slots = Slots(layers=1, slots=5, columns=longest + margin, device=torch.device("cpu"))
    expected: list[list[int]] = []
    token = 100
    for event in happenings:
        if isinstance(event, list) and len(expected) + len(event) <= 5:
            tails = [[token + 10 * row + i for i in range(n)] for row, n in enumerate(event)]
            token += 100
            width = max(event)
            slots.admit(prefix(PREFIX) if shared else None, len(head), tails)
            padded = keys([[0] * (width - len(tail)) + tail for tail in tails])
            slots.update(padded, -padded, 0)
            slots.admitted(width)
            expected += [head + tail for tail in tails]
        elif event == "step" and expected and max(map(len, expected)) < longest - 4:
            positions = slots.step()
            assert positions[:, 0].tolist() == [len(text) for text in expected]
            token += 1
            written = keys([[token * 10 + row] for row in range(len(expected))])
            seen, _ = slots.update(written, -written, 0)
            assert slots.mask(1, torch.float32, None).shape == (len(expected), 1, 1, seen.shape[2])
            slots.stepped()
            for row, text in enumerate(expected):
                text.append(token * 10 + row)
        elif isinstance(event, set):
            ended = [row for row in event if row < len(expected)]
            order = slots.release(ended)
            assert sorted(order) == sorted(set(range(len(expected))) - set(ended))
            expected = [expected[row] for row in order]
        if expected:
            assert texts(slots) == expected


def test_a_token_sees_its_own_text_up_to_itself() -> None:
    slots = Slots(layers=1, slots=2, columns=9, device=torch.device("cpu"))
    slots.admit(prefix([7]), 1, [[1, 2], [3]])
    # Row 0 holds 7 1 2, row 1 holds 7 _ 3: what each of the two columns of the tails may see.
    seen = slots.mask(2, torch.float32, None)[:, 0] == 0
    assert seen[0].tolist() == [[True, True, False], [True, True, True]]
    assert seen[1, 1].tolist() == [True, False, True]
    # With a window of 2 the last token no longer sees the prefix of row 0; row 1's text has two.
    near = slots.mask(2, torch.float32, 2)[:, 0] == 0
    assert near[0, 1].tolist() == [False, True, True]
    assert near[1, 1].tolist() == [True, False, True]
    hidden = slots.mask(2, torch.float16, None)
    assert hidden[0, 0, 0, 2] == torch.finfo(torch.float16).min


def test_more_columns_than_there_are_is_a_fault() -> None:
    slots = Slots(layers=1, slots=1, columns=3, device=torch.device("cpu"))
    with pytest.raises(ValueError, match="4 columns are needed, there are 3"):
        slots.admit(None, 0, [[1, 2, 3, 4]])
