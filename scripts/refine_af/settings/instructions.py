"""The section of config.yaml on stage 1."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from refine_af.settings.fields import Count, Section, Seed, Texts, Threshold
from refine_af.settings.sampling import Sampling
from refine_af.settings.servers import Generating


class Novelty(Section):
    threshold: Threshold = Field(
        description="ROUGE-L with the nearest instruction of the pool from which on a new one is "
        "refused, an exact decimal in quotes (paper II-B)."
    )
    tie: Literal["reject", "accept"] = Field(
        description='What becomes of an instruction exactly at the threshold (paper II-B: "below '
        "0.7\"; SI's code: accept)."
    )
    tokens: Literal["rouge", "unicode"] = Field(
        description="Words that ROUGE-L compares: those of rouge_score without a stemmer, which "
        "are of a-z and 0-9, or those of every script (SI: rouge)."
    )


class InstructionFilter(Section):
    min_words: Count = Field(
        description="Fewest words of an instruction; in a script without spaces each letter is one "
        "(SI: 3 words or fewer are dropped)."
    )
    max_words: Count = Field(description="Most words of an instruction (SI).")
    keywords: Texts = Field(
        description="Words that an instruction must not hold, in a script without spaces within "
        "others too (SI, with Alpaca's video, audio, music, flowchart and diagram left out)."
    )
    prefixes: Texts = Field(description="Beginnings that an instruction must not have (SI).")
    punctuation: bool = Field(
        description="Whether an instruction may begin with a punctuation mark (SI: false)."
    )
    non_ascii: bool = Field(
        description="Whether an instruction may begin with a character beyond ASCII (SI: false)."
    )
    capitalize: bool = Field(
        description="Whether all but the first letter is put in lower case (ours; SI: true, which "
        "lower-cases acronyms)."
    )
    loop: Annotated[int, Field(ge=2, le=1000)] | None = Field(
        description="How often in a row an item says the same words where it is refused as a loop, "
        "and its reply ended; or null (ours; SI: null)."
    )
    truncated: Literal["drop item", "drop reply"] = Field(
        description="What is dropped of a reply that the length limit cut: its last item or all of "
        "it (ours; SI: drop reply)."
    )

    @model_validator(mode="after")
    def is_a_range(self) -> InstructionFilter:
        if self.min_words > self.max_words:
            raise ValueError(
                f"min_words {self.min_words} is greater than max_words {self.max_words}"
            )
        return self


class Instructions(Generating):
    seed: Seed = Field(description="Seed of demonstrations and sampling (SI).")
    segment_size: Count = Field(
        description="Instructions of a segment, the piece in which the pool grows and is kept "
        "(ours)."
    )
    prompts_per_round: Count = Field(
        description="Prompts of a round, drawn from the pool as it stood when the round began "
        "(ours; SI: 5)."
    )
    human_demonstrations: Count = Field(
        description="Human-written tasks that a prompt shows (paper II-B)."
    )
    machine_demonstrations: Annotated[int, Field(ge=0)] = Field(
        description="Machine-written tasks that a prompt shows; seeds fill in while there are "
        "fewer (paper II-B; SI)."
    )
    demonstration_candidates: Count | None = Field(
        description="How many machine-written tasks are drawn, of which a prompt shows those least "
        "like its other tasks by ROUGE-L, of many too often the same ones; or null: it shows those "
        "drawn (ours; paper II-B: null)."
    )
    numbering: Annotated[str, StringConstraints(pattern=r"^[^{}\n]*\{number\}[^{}\n]*$")] = Field(
        description="What stands before a task of a prompt, with {number} for its number "
        '(paper IX-C; SI: "{number}.").'
    )
    splitting: Literal["spaced", "exact"] = Field(
        description="Where an item of a reply begins: at the numbering with any spaces within it "
        "and Markdown around it, or at a new line's with one space before its end at most, and "
        "one after it (ours; SI: exact)."
    )
    last_item: Count | None = Field(
        description="Number of the task after which a reply ends, or null: `sampling.stop` alone "
        '(SI: null, and the stops "16." and the like).'
    )
    end_after_similar: Count | None = Field(
        description="Items in a row, refused as similar to the pool as the round began or to "
        "earlier items of their reply, after which the reply ends; or null (ours; SI: null)."
    )
    sampling: Sampling = Field(description="How the tokens of a reply are drawn (SI).")
    filter: InstructionFilter = Field(description="Which items of a reply are refused (SI).")
    novelty: Novelty = Field(
        description="How much a new instruction must differ from the pool (paper II-B)."
    )

    @field_validator("numbering")
    @classmethod
    def is_more_than_a_number(cls, value: str) -> str:
        if not value.replace("{number}", "").strip():
            raise ValueError("a number alone does not tell an item's beginning from its text")
        return value

    @model_validator(mode="after")
    def has_candidates(self) -> Instructions:
        candidates = self.demonstration_candidates
        if candidates is not None and candidates <= self.machine_demonstrations:
            raise ValueError(
                f"demonstration_candidates {candidates} leave nothing to choose of "
                f"{self.machine_demonstrations} machine_demonstrations"
            )
        return self

    @model_validator(mode="after")
    def asks_for_an_item(self) -> Instructions:
        demonstrations = self.human_demonstrations + self.machine_demonstrations
        if self.last_item is not None and self.last_item <= demonstrations:
            raise ValueError(
                f"last_item {self.last_item} leaves nothing to write after the "
                f"{demonstrations} demonstrations of a prompt"
            )
        return self
