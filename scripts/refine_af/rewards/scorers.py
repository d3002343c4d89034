"""The scorer that `reward.scorer` names: imported, made once, and checked at each call.

A dotted path names what makes a scorer, a class or a function, and a plain name one that is built
in: it is called with `reward` and the folders of the model and the evaluator, None where
config.yaml has null. The scorer is called with a sequence of triplets, whose `instruction`, `input`
and `output` are text, and gives for each, in order, a mapping from its components' names to finite
numbers, of 1e12 at most.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

from refine_af.errors import InputError, shown
from refine_af.rewards.equation_1 import check_components, check_judges
from refine_af.rewards.own_code import homes, module_file, path_of
from refine_af.rewards.scorer import Triplet
from refine_af.settings.reward import Reward
from refine_af.settings.servers import Server

Scores = dict[str, float]
Judge = Callable[[Sequence[Triplet]], list[Scores]]

FIRST = Triplet("Name a colour.", "", "Blue.")  # scored before any work begins
MOST = 1e12  # of a score: times the largest weight, its square is a number in float32


class Asked(NamedTuple):
    """What `llm_judge` asks: a server, by the prompt in a file; its answers are kept in another."""

    server: Server
    prompt: Path
    kept: Path


def to_ask(server: Server | None, prompt: Path | None, progress: Path) -> Asked | None:
    """What `llm_judge` asks, its answers in the folder `progress`; None without a server."""
    return Asked(server, prompt, progress / "judge.jsonl") if server and prompt else None


def load_scorer(
    reward: Reward, model: Path | None, evaluator: Path | None, asked: Asked | None = None
) -> Judge:
    """The scorer. InputError where it is not as this module says, now or at a later call.

    What its own code raises passes as it is, for its author to see.
    """
    check_judges(reward)
    name = f"reward.scorer {reward.scorer}"
    make = _imported(path_of(reward.scorer), name)
    given = (reward, asked) if reward.llm_judge else (reward, model, evaluator)
    try:
        inspect.signature(make).bind(*given)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{name}: cannot be called with settings, model and evaluator: {error}"
        ) from None
    scorer = make(*given)
    if not callable(scorer):
        raise InputError(f"{name}: makes {shown(scorer)}, which cannot be called")

    def judge(triplets: Sequence[Triplet]) -> list[Scores]:
        rows = scorer(triplets)
        if not isinstance(rows, Sequence) or len(rows) != len(triplets):
            many = len(rows) if isinstance(rows, Sequence) else shown(rows)
            raise InputError(f"{name}: gives {many} for {len(triplets)} triplets, not a row each")
        return [_checked(*pair, reward, name) for pair in zip(rows, triplets, strict=True)]

    judge([FIRST])
    return judge


def _imported(dotted: str, name: str) -> Callable[..., Any]:
    place, _, last = dotted.rpartition(".")
    if module_file(dotted, homes()[:2]):  # not one of the project's own
        own = [str(home.resolve()) for home in homes()]
        sys.path[:0] = [home for home in own if home not in sys.path]
    # Python checks cached bytecode by its source's size and second: an edit could go unseen.
    kept, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        module = import_module(place)
    except (ImportError, SyntaxError) as error:
        raise InputError(f"{name}: cannot be imported: {error}") from None
    finally:
        sys.dont_write_bytecode = kept
    found = getattr(module, last, None)
    if not callable(found):
        wrong = f"{last} is {shown(found)}" if hasattr(module, last) else f"there is no {last}"
        file = getattr(module, "__file__", None) or place
        raise InputError(f"{name}: in {file} {wrong}, and no class or function")
    made: Callable[..., Any] = found
    return made


def _checked(row: object, triplet: Triplet, reward: Reward, name: str) -> Scores:
    if not isinstance(row, Mapping):
        raise InputError(f"{name}: gives {shown(row)} for {shown(triplet)}, no named components")
    check_components(reward, [str(key) for key in row])
    for key, score in row.items():
        if not is_score(score):
            raise InputError(
                f"{name}: {key} is {shown(score)} for {shown(triplet)}, "
                f"no number from -{MOST:g} to {MOST:g}"
            )
    return {str(key): float(score) for key, score in row.items()}


def is_score(value: Any) -> bool:
    """Whether `value` is a finite number that PPO can square in float32."""
    number = isinstance(value, Real) and not isinstance(value, bool)
    return number and abs(value) <= MOST
