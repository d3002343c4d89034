"""Greedy replies: at each token the likeliest one, so that nothing is drawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from refine_af.engines.replies import Engine, Group, Reply
from refine_af.engines.rounds import Rounds
from refine_af.jobs.progress import Progress
from refine_af.settings.sampling import Sampling


def greedy(max_new_tokens: int, stop: tuple[str, ...]) -> Sampling:
    """The settings that take the likeliest token at each step."""
    return Sampling(
        temperature=0.0,
        top_p=1.0,
        min_p=0.0,
        presence_penalty=0.0,
        max_new_tokens=max_new_tokens,
        stop=stop,
    )


def greedy_replies(
    rounds: Iterable[Sequence[Group]], log: Path, engine: Engine, progress: Progress
) -> list[Reply]:
    """The replies to all prompts of the rounds, in order, kept in `log`.

    `progress` counts them and shows each round's rate. `engine` must draw nothing: seeds are 0.
    """
    found = []
    with closing(Rounds(log, engine)) as kept:
        for number, groups in enumerate(rounds):
            seeds = [0] * sum(len(group.tails) for group in groups)
            made = kept.counted(number, groups, seeds, progress)
            if made.new:
                progress.line(f"round {number}: {made.new} replies · {made.rate}")
            found += made.replies
    return found
