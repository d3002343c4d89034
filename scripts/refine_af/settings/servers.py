"""What completes a stage's prompts: the backbone in its job, or a server, one a model."""

from __future__ import annotations

import re
import shlex
from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints, field_validator, model_validator

from refine_af.settings.fields import Count, FilePath, NotNegative, Positive, Section, Text

# The keys of a request that a stage's settings decide.
OWN = {"model", "prompt", "messages", "max_tokens", "temperature", "top_p", "seed", "n", "stop"}
# What stands for a word of a command, and is put in once the job knows it.
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
OF_COMMAND = frozenset({"checkpoint", "model", "port"})
OF_ADAPTERS = OF_COMMAND | {"rank", "adapters"}


def _words(text: str, known: frozenset[str]) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"is no command: {error}") from None
    if not words:
        raise ValueError("is no command: it has no word")
    for name in PLACEHOLDER.findall(text):
        if name not in known:
            placeholders = ", ".join(f"{{{each}}}" for each in sorted(known))
            raise ValueError(f"holds {{{name}}}, which is none of {placeholders}")
    return words


class Start(Section):
    command: Text = Field(
        description="What starts the server: words as a shell splits them, without a shell. "
        "{checkpoint}, {model} and {port} stand for the model's folder, its name as under `model` "
        "and a port of 127.0.0.1 that is free (ours)."
    )
    adapters: Text | None = Field(
        description="Words that follow the command where there are adapters: {adapters} alone is "
        "a word name=folder for each, {rank} the greatest rank; or null for a server that takes "
        "none (ours)."
    )
    environment: FilePath | None = Field(
        description="The folder of a virtual environment that has the program, or null: it stands "
        "on the job's own PATH (ours)."
    )
    ready_s: Positive = Field(description="Seconds within which it must be ready (ours).")

    @field_validator("command")
    @classmethod
    def starts_a_server(cls, value: str) -> str:
        _words(value, OF_COMMAND)
        for name in ("checkpoint", "port"):
            if f"{{{name}}}" not in value:
                raise ValueError(f"names no {{{name}}}, so the job could not tell the server of it")
        return value

    @field_validator("adapters")
    @classmethod
    def hands_over_adapters(cls, value: str | None) -> str | None:
        words = [] if value is None else _words(value, OF_ADAPTERS)
        holding = {word for word in words if "{adapters}" in word}
        if value is not None and holding != {"{adapters}"}:
            part = "".join(f", and {word!r} holds it" for word in sorted(holding - {"{adapters}"}))
            raise ValueError(f"must have {{adapters}} as a word that stands alone for all{part}")
        return value


class Generating(Section):
    """A stage whose prompts are completed by the backbone in its job, or by a server."""

    engine: Literal["transformers", "server"] = Field(
        description="What completes prompts: the backbone in the job, or the model's entry under "
        "`servers` (ours)."
    )
    quantization: Literal["nf4", "none"] = Field(
        description="Rounding of the backbone's weights in the job: nf4 is 4 bits, where memory is "
        "short; a server's are its own (ours: as published in stage 1, elsewhere as trained)."
    )


class Served(Section):
    """What of a server decides a reply."""

    model: Text = Field(
        description="What the server calls the model; its adapters are <model>-ppo, with _r2 and "
        "so on for replicates, and <model>-<cell>, such as <model>-refine-af_5000 (ours)."
    )

    prompts: Literal["tokens", "text"] = Field(
        default="tokens",
        description="Whether prompts are sent as token ids, so that begin token, chat and special "
        "tokens are as in this process, or as text to a server that takes no ids (ours).",
    )
    extra: dict[str, JsonValue] = Field(
        default={},
        description="Keys added to every request, such as top_k; null takes one away that the "
        "server refuses. Top-k and penalties for repetition are switched off without it (ours).",
    )

    @field_validator("extra")
    @classmethod
    def leaves_the_settings_alone(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if taken := sorted(OWN & value.keys()):
            raise ValueError(f"{taken[0]} is what the stage's settings say")
        for name in ("min_p", "presence_penalty"):
            if value.get(name) is not None:
                raise ValueError(f"{name} is what `sampling` says; null takes it away")
        return value


class Server(Served):
    """A server as it is reached, beside what of it decides a reply."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://[^/\s?#@]+(/[^\s?#]*)?$")] | None = (
        Field(
            default=None,
            description="Address of the API, up to /v1, of a server that runs already (ours).",
        )
    )
    start: Start | None = Field(
        default=None,
        description="In its place, the server that each job starts, on its own GPU, and ends with "
        "itself (ours).",
    )
    key_variable: str | None = Field(
        description="Environment variable that holds the server's key, or null (ours)."
    )
    concurrency: Annotated[int, Field(ge=1, le=1024)] = Field(
        description="Most requests that run at a time (ours)."
    )
    timeout_s: Positive = Field(
        description="Seconds that the server may be silent in the middle of a request (ours)."
    )
    attempts: Count = Field(
        description="Attempts at a request that ends in silence or in no answer (ours)."
    )
    patience_s: NotNegative = Field(
        description="Seconds for which a server that is away or too busy is waited for: no "
        "connection, HTTP 5xx, 429 (ours)."
    )

    @field_validator("key_variable")
    @classmethod
    def names_a_variable(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch("[A-Z_][A-Z0-9_]*", value):
            raise ValueError(
                "must be the name of an environment variable, in capitals; the key itself does "
                "not belong in config.yaml"
            )
        return value

    @model_validator(mode="after")
    def has_one_place(self) -> Server:
        if (self.url is None) == (self.start is None):
            raise ValueError(
                "needs either url, the address of a server that runs, or start, the command of one "
                "that the job starts"
            )
        return self
