"""What stages keep of their rounds: every reply once, each round's time by hand, all read again."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from refine_af.engines.greedy import greedy
from refine_af.engines.local import LocalEngine
from refine_af.engines.replies import Engine, Group, Reply
from refine_af.engines.rounds import Rounds, Written
from refine_af.errors import InputError
from refine_af.instructions.rounds import Round, RoundLog
from refine_af.jobs.progress import Progress, duration

PROMPTS = [Group("P", ["a", "b"]), Group("Q", ["c", "d"])]


class Asked:
    """An engine that answers from the last prompt to the first, and remembers what it was asked.

    It takes `loads` seconds to load, of which its first call tells.
    """

    def __init__(self, *, repeats: bool, dies_after: int | None = None, loads: float = 0) -> None:
        self.repeats, self.dies_after = repeats, dies_after
        self.calls: list[list[int]] = []
        self.written = 0
        self.loading_s, self.origin, self._loads = 0.0, "", loads

    def __call__(
        self, groups: Sequence[Group], seeds: Sequence[int], answered: Collection[int] = ()
    ) -> Iterator[tuple[int, Reply]]:
        self.loading_s = self._loads
        self.calls.append(sorted(answered))
        tails = [group.prefix + tail for group in groups for tail in group.tails]
        for place in reversed(range(len(tails))):
            if self.repeats or place not in answered:
                if self.written == self.dies_after:
                    raise InputError("the GPU failed")
                self.written += 1
                yield place, Reply(f"{tails[place]} {seeds[place]} \ud800\u2028\0", "stop", 7, 3)


def written(
    path: Path, engine: Engine, number: int = 0, prompts: Sequence[Group] = PROMPTS
) -> tuple[Written, list[int]]:
    """A round, and what was heard of its new replies."""
    heard: list[int] = []
    seeds = range(sum(len(group.tails) for group in prompts))
    with closing(Rounds(path, engine)) as log:
        return log.written(number, prompts, seeds, heard.append), heard


@pytest.mark.parametrize("repeats", [True, False])
def test_an_engine_that_fails_loses_no_reply(tmp_path: Path, repeats: bool) -> None:
    path = tmp_path / "replies.jsonl"
    with pytest.raises(InputError, match="the GPU failed"):
        written(path, Asked(repeats=repeats, dies_after=2))
    before = path.read_bytes()
    assert [json.loads(line)["request"] for line in before.splitlines()] == [3, 2]

    engine = Asked(repeats=repeats)
    made, heard = written(path, engine)
    assert [reply.text for reply in made.replies] == [
        f"{prompt} {seed} \ud800\u2028\0" for seed, prompt in enumerate(["Pa", "Pb", "Qc", "Qd"])
    ]
    assert engine.calls == [[2, 3]]
    assert (made.new, made.tokens) == (2, 6), "the other two are not this run's"
    assert heard == [3, 4]
    assert path.read_bytes().startswith(before)
    assert [json.loads(line)["request"] for line in path.read_bytes().splitlines()] == [3, 2, 1, 0]

    engine = Asked(repeats=repeats)
    again, heard = written(path, engine)
    assert again.replies == made.replies and again.new == again.tokens == 0
    assert engine.calls == [] and heard == []
    other, _ = written(path, engine, 1, PROMPTS[:1])
    assert other.replies == made.replies[:2]
    assert engine.calls == [[]]
    with pytest.raises(InputError, match=r"round 0 has a reply to request 2 of 2"):
        written(path, engine, 0, PROMPTS[:1])


def test_known_replies_are_counted_as_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, shown = tmp_path / "replies.jsonl", Progress(4, "replies")
    with pytest.raises(InputError, match="the GPU failed"):
        written(path, Asked(repeats=True, dies_after=3))
    clock = clocked(0, 36)
    with closing(Rounds(path, Asked(repeats=True, loads=34), clock)) as log:
        made = log.counted(0, PROMPTS, range(4), shown)
    assert "progress: 4/4 replies\n" in capsys.readouterr().out
    # One reply of 3 tokens in the 2 seconds that loading leaves of 36.
    assert (made.seconds, made.loading_s, made.rate) == (2, 34, "0.5 replies/s · 2 tokens/s")


def test_a_model_is_loaded_once_and_when_it_is_asked() -> None:
    loads: list[None] = []

    def load() -> tuple[Any, Any]:
        loads.append(None)
        return None, None

    engine = LocalEngine(load, greedy(4, ()), clock=clocked(2, 32))
    assert engine.loading_s == 0.0 and not loads
    assert list(engine([], [])) == list(engine([], [])) == []
    assert engine.loading_s == 30.0 and len(loads) == 1


def round_of(number: int, accepted: int, similar: int = 0) -> Round:
    return Round(number, 4, accepted, Counter({"similar": similar}), 12, 0, 0, 0)


def clocked(*readings: float) -> Callable[[], float]:
    return iter(readings).__next__


BOUNDS: dict[str, Any] = {"start": 0, "target": 10, "longest_hours": 1.0}


def opened(folder: Path, engine: Engine, clock: Callable[[], float], **places: int) -> RoundLog:
    progress = Progress(10, "instructions")
    return RoundLog(folder, engine, progress, clock=clock, **(BOUNDS | places))


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
            "seconds_left_low": None,
            "seconds_left_high": None,
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


def test_replies_that_ended_early_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = Round(0, 4, 2, Counter({"loop": 1}), 12, cut=3, unwritten=9, dropped=5)
    assert (row.row()["cut"], row.row()["unwritten"], row.row()["dropped"]) == (3, 9, 5)
    with opened(tmp_path, Asked(repeats=False), clocked(0, 0, 1, 2)) as log:
        log.replies(0, PROMPTS, range(4))
        log.ended(row, 2)
    said = "2 of 3 accepted, 2 in the pool · 12 tokens/s · 3,600 instructions/h · 3 replies ended"
    assert said in capsys.readouterr().out


def test_loading_a_model_is_no_time_of_a_round(tmp_path: Path) -> None:
    """30 of the 34 and 37 seconds are the engine's loading; a loaded one loads no more."""
    clock = clocked(100, 101, 135, 137, 137, 141, 141)
    with opened(tmp_path, Asked(repeats=False, loads=30), clock) as log:
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


def decaying(folder: Path, accepted: Sequence[int], *, hours: float) -> list[str]:
    """The seconds left after rounds of a second each that accept so many."""
    pools = [sum(accepted[: number + 1]) for number in range(len(accepted))]
    clock, progress = count().__next__, Progress(1000, "instructions")
    bounds: dict[str, Any] = {"start": 0, "target": 1000, "longest_hours": hours}
    # Three readings a round: as its replies are asked for, as they are there, and as it ends.
    with RoundLog(
        folder, Asked(repeats=False), progress, clock=lambda: clock() / 3, **bounds
    ) as log:
        for number, (new, pool) in enumerate(zip(accepted, pools, strict=True)):
            log.replies(number, PROMPTS, range(4))
            log.ended(round_of(number, new, similar=3), pool)
    return [f"{time.seconds_left} {time.seconds_left_low}" for time in log.times]


def test_a_pool_that_will_not_fill_is_told_early_and_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decaying(tmp_path, [40, 20, 10, 6, 5, 3], hours=0.5)
    said = capsys.readouterr().out.splitlines()
    (warning,) = [line for line in said if line.startswith("warning: ")]
    assert said.index(warning) == 1 + [line.startswith("round 3") for line in said].index(True)
    assert warning.startswith(
        "warning: a pool of 1,000 will hardly be reached with this decoding. By 4 rounds a round "
    )
    assert "at 76 instructions, which falls by half with every" in warning
    assert "the 924 that are missing would take" in warning
    assert "watch.instructions.longest_hours is 0.5" in warning


def test_a_steady_yield_is_no_cause_for_alarm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """50 a round and second: 750 are missing after five, which takes 15 seconds."""
    left = decaying(tmp_path, [50] * 5, hours=0.5)
    said = capsys.readouterr().out
    assert "warning" not in said
    assert left[2] == "17.0 None", "by the last rounds, until there are four"
    assert left[4] == "15.0 15.0", "and a decline within the range makes it longer"
    assert re.search(r"round 4: 50 of 53 .* · 15 s left \(15 s to \d+ s\)", said)


def test_what_a_job_knows_of_its_time_stands_in_its_progress(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress = Progress(10, "instructions")
    progress.left = "12 days left (8 days to over 10 years)"
    progress.skip(4)
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == "progress: 4/10 instructions · 12 days left (8 days to over 10 years)"
    progress.advance(6)
    assert capsys.readouterr().out == "progress: 10/10 instructions\n"
    told = [duration(hours * 3600) for hours in (239.5, 240, 24_000, 87_600)]
    assert told == ["239 h 30 min", "10 days", "1,000 days", "over 10 years"]


def test_a_rounds_end_replaces_the_figure_of_the_moment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However soon it comes: otherwise the last line says `16 of 16 replies` for minutes."""
    now = [0.0]
    monkeypatch.setattr("refine_af.jobs.progress.time.monotonic", lambda: now[0])
    progress = Progress(10, "instructions")
    now[0] = 20.0
    progress.show("round 0: 16 of 16 replies")
    progress.advance(3)
    progress.advance(1)
    assert capsys.readouterr().out.splitlines() == [
        "progress: 0/10 instructions",
        "progress: 0/10 instructions · round 0: 16 of 16 replies",
        "progress: 3/10 instructions · 47 s left",
    ]
