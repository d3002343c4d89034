"""The section of config.yaml that names the prompt files."""

from __future__ import annotations

from pydantic import Field

from refine_af.settings.fields import FilePath, Name, Section


class Prompts(Section):
    instructions: FilePath = Field(
        description="Prompt of stage 1, with a slot for the tasks that it shows (paper IX-C, "
        "table VI)."
    )
    instances: FilePath = Field(
        description="Prompt of stage 3, with a slot for the instruction (paper IX-D; SI)."
    )
    output_first: FilePath = Field(
        description="Prompt of stage 3 for classification tasks, whose output comes first, with a "
        "slot for the instruction; read where instances.classification names a method (SI)."
    )
    classification: FilePath = Field(
        description="Prompt that asks whether an instruction is a classification task, with a slot "
        "for it; read where instances.classification names a method (SI)."
    )
    sft: FilePath = Field(
        description="JSON with the encodings that a training row is drawn from (SI: "
        "prepare_for_finetuning.py, encode_instance)."
    )
    users: FilePath = Field(
        description="JSON with the prompts of the user-oriented instructions (SI: "
        "human_eval/predictions)."
    )
    superni: FilePath = Field(
        description="Prompt of every model on Super-NI, with slots for definition and input (T-k: "
        "ni_collator.py, definition only, zero-shot)."
    )
    baselines: dict[Name, FilePath] = Field(
        description="By name, the prompts of those superni.baselines that are not given "
        "prompts.superni (ours)."
    )
