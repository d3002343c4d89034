"""What people's ratings of one model came to, read back from their summary."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from refine_af.errors import InputError
from refine_af.report.files import read_table, real_or_none

GRADES = ("A", "B", "C", "D")
QUESTIONS = ("task", "input", "output")
# What the summary holds of each method where a part was rated: how many answers, and of which kind.
COUNTED = {
    "ratings": tuple(f"rating {grade}" for grade in GRADES),
    "reviews": tuple(f"{question} yes" for question in QUESTIONS),
}
MEANS = {
    "ratings": ("mean rating", "share A or B"),
    "reviews": tuple(f"share {question} yes" for question in QUESTIONS),
}
KAPPA = "kappa"


class Value(NamedTuple):
    """A value, and the ends of its interval; nan where there is none."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Ratings:
    """The summary's values by (measure, rater, method), in the order of its rows."""

    values: dict[tuple[str, str, str], Value]

    def methods(self, part: str) -> list[str]:
        """The methods that were rated in a part, `ratings` or `reviews`; none where it was not."""
        return [method for name, rater, method in self.values if (name, rater) == (part, "")]

    def raters(self, part: str) -> int:
        """How many people rated a part."""
        return len({rater for name, rater, _ in self.values if name == part and rater})

    @property
    def answers(self) -> int:
        """How many ratings and reviews there are in all."""
        every = [(part, method) for part in COUNTED for method in self.methods(part)]
        return sum(self.count(*each) for each in every)

    def missing(self, part: str) -> dict[str, int]:
        """How many items of a part each rater left out who began it and did not do it all."""
        return {
            rater: round(value.value)
            for (name, rater, _), value in self.values.items()
            if name == f"missing {part}"
        }

    def count(self, measure: str, method: str) -> int:
        """How many answers of all raters together."""
        return round(self.values[measure, "", method].value)

    def mean(self, measure: str, method: str) -> Value:
        """A method's mean or share over all raters, with its interval."""
        return self.values[measure, "", method]

    def differences(self, measure: str) -> dict[tuple[str, str], Value]:
        """Each difference of two methods, by (the one taken away, the one it is taken from)."""
        found = {}
        for (name, _, pair), value in self.values.items():
            if name == f"difference in {measure}":
                after, _, before = pair.partition(" − ")
                found[before, after] = value
        return found

    def agreement(self, question: str) -> tuple[float, str, float] | None:
        """The share of pairs of raters that agree, which kappa, its value; None of one rater."""
        share = self.values.get((f"agreement {question}", "", ""))
        for (name, _, _), value in self.values.items():
            kind, _, about = name.rpartition(" ")
            if share and kind.endswith(KAPPA) and about == question:
                return share.value, kind, value.value
        return None


def read_ratings(path: Path) -> Ratings:
    """A summary of ratings. InputError where it lacks what it must hold of a method."""
    columns = dict.fromkeys(("measure", "rater", "method"), str)
    numbers = dict.fromkeys(("value", "low", "high"), real_or_none)
    rows = read_table(path, {**columns, **numbers}).itertuples(index=False)
    found = Ratings({(row[0], row[1], row[2]): Value(*row[3:]) for row in rows})
    if not any(map(found.methods, COUNTED)):
        raise InputError(f"{path}: holds no count of ratings and none of reviews")
    for part, counted in COUNTED.items():
        for method in found.methods(part):
            for name in (part, *counted, *MEANS[part]):
                value = found.values.get((name, "", method))
                if value is None or value.value != value.value:
                    raise InputError(f"{path}: no value of {name!r} of method {method!r}")
    return found
