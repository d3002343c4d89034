"""What stage 1 keeps on its way: every reply once, every round's time by hand, all read again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from refine_af.engines.replies import Engine, LateEngine, Reply
from refine_af.engines.reply_log import ReplyLog
from refine_af.errors import InputError
from refine_af.instructions.rounds import Round, RoundLog
from refine_af.jobs.progress import Progress

PROMPTS = ["a", "b", "c", "d"]


class Asked:
    """An engine that answers from the last prompt to the first, and remembers what it was asked."""

    def __init__(self, *, repeats: bool, dies_after: int | None = None) -> None:
        self.repeats, self.dies_after = repeats, dies_after
        self.calls: list[list[int]] = []
        self.written = 0

    def __call__(
        self, tails: Sequence[str], seeds: Sequence[int], answered: Collection[int] = ()
    ) -> Iterator[tuple[int, Reply]]:
        self.calls.append(sorted(answered))
        for place in reversed(range(len(tails))):
            if self.repeats or place not in answered:
                if self.written == self.dies_after:
                    raise InputError("the GPU failed")
                self.written += 1
                yield place, Reply(f"{tails[place]} {seeds[place]} \ud800\u2028\0", "stop", 7, 3)


def ignore(count: int, reply: Reply) -> None:
    pass


@pytest.mark.parametrize("repeats", [True, False])
def test_an_engine_that_fails_loses_no_reply(tmp_path: Path, repeats: bool) -> None:
    path = tmp_path / "replies.jsonl"
    engine = Asked(repeats=repeats, dies_after=2)
    log = ReplyLog(path, engine)
    with pytest.raises(InputError, match="the GPU failed"):
        log.replies(0, PROMPTS, range(4), ignore)
    log.close()
    before = path.read_bytes()
    assert [json.loads(line)["request"] for line in before.splitlines()] == [3, 2]

    engine = Asked(repeats=repeats)
    log = ReplyLog(path, engine)
    assert log.known(0) == 2
    heard: list[int] = []
    replies = log.replies(0, PROMPTS, range(4), lambda count, _: heard.append(count))
    log.close()
    assert [reply.text for reply in replies] == [
        f"{prompt} {seed} \ud800\u2028\0" for seed, prompt in enumerate(PROMPTS)
    ]
    assert engine.calls == [[2, 3]]
    assert heard == [1, 2], "of the new ones alone"
    assert path.read_bytes().startswith(before)
    assert [json.loads(line)["request"] for line in path.read_bytes().splitlines()] == [3, 2, 1, 0]

    engine = Asked(repeats=repeats)
    log = ReplyLog(path, engine)
    assert log.replies(0, PROMPTS, range(4), ignore) == replies
    assert engine.calls == []
    assert log.replies(1, PROMPTS[:2], range(2), ignore) == replies[:2]
    assert engine.calls == [[]]
    log.close()


def round_of(number: int, accepted: int, similar: int = 0) -> Round:
    return Round(number, 4, accepted, Counter({"similar": similar}), 12)


def clocked(*readings: float) -> Callable[[], float]:
    return iter(readings).__next__


def opened(folder: Path, engine: Engine, clock: Callable[[], float], **places: int) -> RoundLog:
    progress = Progress(10, "instructions")
    return RoundLog(folder, engine, progress, clock=clock, **({"start": 0, "target": 10} | places))


def test_times_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Made at 100; replies asked for at 101 and there at 105; the round over at 107: 7 seconds, 4
    # of them the engine's, for 4 replies of 3 tokens: 3 tokens a second.
    clock = clocked(100, 101, 105, 107, 107, 111, 111)
    with opened(tmp_path, Asked(repeats=False), clock) as log:
        log.replies(0, PROMPTS, range(4))
        log.ended(round_of(0, accepted=5, similar=2), 5)
        # 5 accepted in 7 seconds; the 5 that are missing take as long.
        assert vars(log.times[0]) == {
            "round": 0,
            "seconds": 7.0,
            "engine_seconds": 4.0,
            "tokens": 12,
            "tokens_per_second": 3.0,
            "accepted": 5,
            "instructions_per_hour": 2571.4,  # 5 · 3600 / 7
            "pool": 5,
            "seconds_left": 7.0,
        }
        log.replies(1, PROMPTS, range(4))
        log.ended(round_of(1, accepted=0, similar=9), 5)
        # Of both rounds: 5 in 11 seconds.
        assert (log.times[1].seconds, log.times[1].seconds_left) == (4.0, 11.0)
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("round")]
    assert told == [
        "round 0: 5 of 7 accepted, 5 in the pool · 3 tokens/s · 2,571 instructions/h · 7 s left",
        "round 1: 0 of 9 accepted, 5 in the pool · 3 tokens/s · 1,636 instructions/h · 11 s left",
    ]


def test_loading_a_model_is_no_time_of_a_round(tmp_path: Path) -> None:
    """30 of the 34 and 37 seconds are the engine's loading; a loaded one loads no more."""
    engine = LateEngine(lambda: Asked(repeats=False), clocked(0, 30))
    clock = clocked(100, 101, 135, 137, 137, 141, 141)
    with opened(tmp_path, engine, clock) as log:
        for number in (0, 1):
            log.replies(number, PROMPTS, range(4))
            log.ended(round_of(number, accepted=1), 1 + number)
        assert [time.seconds for time in log.times] == [7.0, 4.0]
        assert [time.engine_seconds for time in log.times] == [4.0, 4.0]


def test_times_of_an_earlier_run_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with opened(tmp_path, Asked(repeats=False), clocked(0, 0, 1, 2)) as log:
        log.replies(0, PROMPTS, range(4))
        log.ended(round_of(0, accepted=5), 5)
        first = log.times[0]
    capsys.readouterr()
    engine = Asked(repeats=False)
    with opened(tmp_path, engine, clocked(50, 50, 50, 51, 51, 53, 54)) as log:
        assert log.times == [first]
        log.replies(0, PROMPTS, range(4))
        log.ended(round_of(0, accepted=5), 5)
        assert log.times == [first]
        assert engine.calls == []
        log.replies(1, PROMPTS, range(4))
        log.ended(round_of(1, accepted=6), 11)
        # The earlier run's speed is not this one's: 6 in 3 seconds, and none is missing.
        second = log.times[1]
        assert (second.seconds, second.instructions_per_hour) == (3.0, 7200.0)
        assert (second.tokens, second.seconds_left) == (12, 0.0)
    out = capsys.readouterr().out
    assert "round 0" not in out and "progress: 10/10 instructions" in out


def test_without_any_yield_nothing_is_foretold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened(tmp_path, Asked(repeats=False), clocked(0, 0, 1, 2)) as log:
        log.replies(0, PROMPTS, range(4))
        log.ended(round_of(0, accepted=0, similar=3), 0)
        assert log.times[0].seconds_left is None
    assert "0 instructions/h\n" in capsys.readouterr().out
    with opened(tmp_path, Asked(repeats=False), clocked(0)) as log:
        assert log.times[0].seconds_left is None


def test_what_was_carried_over_counts_as_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clock: Any = clocked(0, 0, 1, 2)
    with opened(tmp_path, Asked(repeats=False), clock, start=23, target=30) as log:
        log.replies(9, PROMPTS, range(4))
        log.ended(round_of(9, accepted=20), 43)
    assert "progress: 10/10 instructions" in capsys.readouterr().out
