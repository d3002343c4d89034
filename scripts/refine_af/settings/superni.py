"""The section of config.yaml on the evaluation on Super-NI."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema, field_validator

from refine_af.settings.fields import NAME, Count, Name, Section, Texts
from refine_af.settings.servers import Generating

COPIES = ("copy-demonstration", "copy-input", "empty")  # baselines that need no model
# What no baseline is called: a method, a row of every table, the table's own log.
TAKEN = ("self-instruct", "refine-af", *COPIES, "table")


def _is_free(value: str) -> str:
    if value in TAKEN:
        raise ValueError(f"a name that is taken, as are {', '.join(TAKEN)}")
    return value


BaselineName = Annotated[
    Name,
    AfterValidator(_is_free),
    WithJsonSchema({"type": "string", "pattern": rf"^(?!({'|'.join(TAKEN)})$){NAME}$"}),
]


class Baseline(Section):
    stop: Texts = Field(description="Strings that end a reply of this baseline (ours).")


class Superni(Generating):
    instances_per_task: Count = Field(
        description="Instances of a task, the first in the order of its file "
        "(natural-instructions@55a36563: 100)."
    )
    prompts_per_round: Count = Field(
        description="Prompts of a round, of whole tasks, asked side by side (ours)."
    )
    full_stop: bool = Field(
        description="Whether a definition and an input that lack a full stop are given one (T-k: "
        "ni_collator.py)."
    )
    max_source_tokens: Count = Field(
        description="Most tokens of a prompt; a longer input is cut (T-k)."
    )
    max_new_tokens: Count = Field(
        description="Most tokens of a reply (T-k; SI, for all its evaluations: 1024)."
    )
    end_of_text: bool = Field(
        description="Whether the end-of-text token ends a reply; false skips it, and replies run "
        "on (T-k, SI: true)."
    )
    baselines: Annotated[dict[BaselineName, Baseline], Field(min_length=1)] = Field(
        description="Untuned models in the same table by name, among them base (paper III-B)."
    )

    @field_validator("baselines")
    @classmethod
    def has_base(cls, value: dict[str, Baseline]) -> dict[str, Baseline]:
        if "base" not in value:
            raise ValueError("the untuned model is evaluated as `base`, which is missing")
        return value
