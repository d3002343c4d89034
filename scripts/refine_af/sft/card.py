"""A tuned model's card, a README for the hub: what it was trained on, and in which form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from huggingface_hub import ModelCardData

from refine_af.pages.markdown import code, fenced
from refine_af.settings.sft import Sft

LOADING = {
    "adapter": """\
from peft import AutoPeftModelForCausalLM

model = AutoPeftModelForCausalLM.from_pretrained("path/to/this/folder")  # the base by its path""",
    "model": """\
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("path/to/this/folder")
tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")""",
}


def card_of(kind: str, backbone: str, summary: Mapping[str, Any], settings: Sft) -> str:
    """The card of an `adapter` or of a whole `model` that was tuned from the folder `backbone`.

    `summary` is what stands in summary.json.
    """
    metadata = ModelCardData(
        library_name="peft" if kind == "adapter" else "transformers",
        pipeline_tag="text-generation",
        license="other",
        tags=["instruction-tuning", "synthetic"],
    )
    what = "A LoRA adapter on" if kind == "adapter" else "A model that was tuned from"
    return (
        f"---\n{metadata}\n---\n\n"
        f"# {backbone}, fine-tuned\n\n"
        f"{what} {code(backbone)}, trained on {summary['instances']:,} {_of_size(summary)}. "
        f"{summary['subset']}\n"
        "A language model wrote them: expect errors.\n\n"
        f"{fenced(LOADING[kind], 'python')}\n"
        f"## What a text looks like\n\n{_form(summary)}\n\n"
        f"## Training\n\n{summary['updates']:,} updates on {summary['tokens']:,} tokens, "
        f"{summary['completion_tokens']:,} of them in outputs, which alone the loss is on.\n\n"
        f"{fenced(settings.model_dump_json(indent=2), 'json')}\n"
        "## Licence\n\nThat of the base model, which the program that wrote this card has not "
        "read: hence `license: other`. State it before you hand this on.\n"
    )


def _of_size(summary: Mapping[str, Any]) -> str:
    """Of how much the instances that were trained on are."""
    if summary["counts"] == "instances":
        return f"of {summary['size']:,} instances"
    return f"instances of {summary['size']:,} instructions"


def _form(summary: Mapping[str, Any]) -> str:
    """How texts began and ended in training: who runs the model must do the same."""
    begin, end = summary["begin_token"], summary["end_token"]
    form = "Turns of the model's chat template." if summary["chat"] else "Plain text, no chat."
    began = (
        f"Every text began with the special token {code(begin)}."
        if begin
        else "No special token stood before a text, as this tokenizer puts none there."
    )
    return f"{form} {began} Every output ended with {code(end)}."
