"""Rows behind a prefix that is read once: where they stand, what they see, what flows back."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from policies import PREFIX, ROWS, gradients, moved_policy, ppo_settings
from refine_af.engines.generation import generate
from refine_af.jobs.stopwatch import Stopwatch
from refine_af.models.backbones import load_tokenizer
from refine_af.models.encoding import encode
from refine_af.models.prefix import Prefix
from refine_af.models.upstream import has_adapter
from refine_af.ppo.learner import Learner
from refine_af.ppo.packing import Tokens, laid_out
from refine_af.ppo.prefixes import Prefixes
from tiny import ROOT

CPU = torch.device("cpu")


def test_a_layout_by_hand() -> None:
    """Four tokens and one fill a pack of five; the next row's six have a pack of their own."""
    rows = [
        Tokens(tail=(11, 12), response=(13, 14, 15)),
        Tokens(tail=(21,), response=()),
        Tokens(tail=(31, 32), response=(33, 34, 35, 36, 37)),
    ]
    layout = laid_out(rows, 5, CPU)
    assert layout.ids.tolist() == [[11, 12, 13, 14, 21, 0], [31, 32, 33, 34, 35, 36]]
    assert layout.owners.tolist() == [[0, 0, 0, 0, 1, -1], [2] * 6]
    assert layout.places.tolist() == [[0, 1, 2, 3, 0, 0], [0, 1, 2, 3, 4, 5]]
    assert layout.predicting.int().tolist() == [[0, 1, 1, 1, 0, 0], [0, 1, 1, 1, 1, 1]]


def test_a_mask_by_hand() -> None:
    """Behind two tokens a row of two and a row of one; with a window of two tokens beside it."""
    rows = [Tokens(tail=(11, 12), response=()), Tokens(tail=(21,), response=())]
    layout = laid_out(rows, 3, CPU)
    assert seen(layout.mask(2, torch.float32, None)) == ["11100", "11110", "11001"]
    assert seen(layout.mask(2, torch.float32, 2)) == ["01100", "00110", "01001"]


def seen(mask: Tensor) -> list[str]:
    assert set(mask.flatten().tolist()) <= {0.0, torch.finfo(mask.dtype).min}
    (only,) = mask[:, 0]
    return ["".join(str(int(entry == 0)) for entry in line) for line in only]


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(0, 6)), min_size=1, max_size=9),
    st.integers(0, 14),
    st.sampled_from([None, 1, 4]),
)
def test_every_token_stands_once_and_sees_its_own_text_alone(
    sizes: list[tuple[int, int]], prefix: int, window: int | None
) -> None:
    rows = [Tokens((7,) * tail, (8,) * response) for tail, response in sizes]
    layout = laid_out(rows, prefix, CPU)
    real = layout.owners >= 0
    assert layout.owners[real].tolist() == [i for i, r in enumerate(rows) for _ in r.read()]
    assert int(layout.predicting.sum()) == sum(len(row.response) for row in rows)
    for pack in layout.owners:
        owners = [owner for owner in pack.tolist() if owner >= 0]
        assert len(owners) <= prefix or len(set(owners)) == 1
    visible = (layout.mask(prefix, torch.float32, window) == 0)[:, 0]
    # Of each text the tokens up to itself, as many as a window holds.
    whole = prefix + layout.places + 1
    assert torch.equal(
        visible.sum(2)[real], (whole if window is None else whole.clamp(max=window))[real]
    )


def test_a_gradient_through_the_cut_is_that_of_one_pass(tiny_llama: Path) -> None:
    """Two passes over parts of the rows, and back through the prefix once."""
    policy = moved_policy(tiny_llama)
    both = policy(policy.read(PREFIX), ROWS, temperature=0.7, width=4)
    (both.log_probs.sum() + 0.3 * both.values.sum()).backward()
    plain = gradients(policy)
    prefix = policy.read(PREFIX)
    cut = prefix.cut()
    for part in (ROWS[:1], ROWS[1:]):
        found = policy(cut, part, temperature=0.7, width=4)
        (found.log_probs.sum() + 0.3 * found.values.sum()).backward()
    detached = torch.cat([e.grad.flatten() for e in policy.parameters() if e.grad is not None])
    prefix.pull(cut)
    assert prefix.layers == ()
    whole = gradients(policy)
    assert (whole - plain).abs().max() <= 1e-5 * plain.abs().max()
    assert (detached - plain).abs().max() > 0.01 * plain.abs().max(), "the prefix is to matter"


def test_a_step_reads_the_prefix_once_for_each_update(
    tiny_llama: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first update by the reading of the old log-probabilities; the reference once a run."""
    policy = moved_policy(tiny_llama)
    reads = watched(policy, monkeypatch)
    sizes = {"rollouts": 4, "batch_size": 1, "gradient_accumulation_steps": 2, "epochs": 2}
    learner = Learner(policy, PREFIX, ppo_settings(**sizes))
    for step in (1, 2):
        learner.learn(ROWS, [1.0] * 4, step=step, kl_coefficient=0.2, stopwatch=Stopwatch())
    # A step has two epochs of two updates; of them the first shares its reading.
    assert [adapted for adapted, _ in reads] == [True, False, True, True, True] + [True] * 4
    assert all(prefix.layers == () for adapted, prefix in reads if adapted), "their memory is freed"
    kept = reads[1][1]
    # Keys and values of 2 layers, each 2 heads of 8 numbers in 4 bytes, of 41 tokens.
    assert kept.nbytes == 41 * 2 * 2 * 2 * 8 * 4
    told = capsys.readouterr().out.splitlines()
    assert told == [
        "the reference's keys and values of the 41 tokens that begin every prompt are kept: 0.0 MB"
    ]


def test_replies_that_go_on_from_the_policys_reading_are_the_same(tiny_llama: Path) -> None:
    policy, tokenizer = moved_policy(tiny_llama), load_tokenizer(tiny_llama)
    prefixes = Prefixes(policy, encode(tokenizer, "Task 1: Sort.", start=True))
    replies = [
        generate(
            policy.model,
            tokenizer,
            prefix="Task 1: Sort.",
            tails=["Task 2:", "Output: Yes"],
            sampling=ppo_settings().sampling,
            seeds=[3, 4],
            begun=begun,
        )
        for begun in (None, prefixes.own().cut().cache(1))
    ]
    assert replies[0] == replies[1]


def watched(policy: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, Prefix]]:
    """Each reading of a prefix from now on, and whether it is with the adapter."""
    reads: list[tuple[bool, Prefix]] = []
    read = policy.read
    adapters = list(filter(has_adapter, policy.modules()))

    def call(prefix: list[int]) -> Prefix:
        reads.append((not adapters[0].disable_adapters, read(prefix)))
        return reads[-1][1]

    monkeypatch.setattr(policy, "read", call)
    return reads


@pytest.mark.slow
@pytest.mark.parametrize("recomputed", [False, True])
@pytest.mark.parametrize(
    "kind",
    ["mistral, a window", "gemma2, mixed windows", "gemma3_text, mixed windows", "gpt_neox"],
)
def test_windows_and_families(
    kind: str, recomputed: bool, tmp_path: Path, tiny_tokenizer: Path
) -> None:
    """An update's gradient, in micro-batches through the cut, is that of the rows one by one."""
    models = small_models()
    models.make_model(kind, tmp_path, tiny_tokenizer)
    policy = moved_policy(tmp_path)
    if recomputed:
        policy.recompute_layers()
    for row in ROWS:
        alone = policy(policy.read([]), [whole(row)], temperature=0.7, width=4)
        (alone.log_probs.sum() + 0.3 * alone.values.sum()).backward()
    plain = gradients(policy)
    prefix = policy.read(PREFIX)
    cut = prefix.cut()
    for part in (ROWS[:3], ROWS[3:]):
        found = policy(cut, part, temperature=0.7, width=4)
        (found.log_probs.sum() + 0.3 * found.values.sum()).backward()
    prefix.pull(cut)
    assert (gradients(policy) - plain).abs().max() <= 1e-4 * plain.abs().max()


def whole(row: Tokens) -> Tokens:
    return Tokens(tail=(*PREFIX, *row.tail), response=row.response)


def small_models() -> Any:
    path = ROOT / "benchmarks" / "small_models.py"
    spec = importlib.util.spec_from_file_location("small_models", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
