"""The evaluation's rows: test instances, and what models reply to them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EvaluationInstance:
    """One Super-NI test instance with the definition of its task and its accepted answers.

    `demonstration` is the output of the task's first positive example, "" where it has none.
    """

    id: str
    task: str
    category: str
    definition: str
    input: str
    references: list[str]
    demonstration: str = ""


@dataclass(frozen=True)
class Prediction:
    """A model's reply to an evaluation instance; `finished` where it ended by itself."""

    id: str
    prediction: str
    finished: bool


@dataclass(frozen=True)
class UserPrediction:
    """The reply of a model's cell to a user-oriented instruction, beside what people wrote.

    `finished` where the reply ended by itself; `input` is "" where the instruction has none.
    """

    id: str
    model: str
    cell: str
    instruction: str
    input: str
    reference: str
    prediction: str
    finished: bool
