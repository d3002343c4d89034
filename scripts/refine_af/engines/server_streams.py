"""An answer that comes as server-sent events, put together as if it had come whole."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from refine_af.engines.replies import Ending
from refine_af.engines.server_answers import mended

ASKED = 32  # pieces after which an ending is asked, whatever they are


class _Piece(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    text: str = ""
    finish_reason: Any = None
    stop_reason: Any = None
    matched_stop: Any = None


class _Event(BaseModel):
    """What is used of an event; what it says is checked once the answer is whole."""

    model_config = ConfigDict(strict=True, frozen=True)

    choices: list[_Piece] = Field(default=[], max_length=1)
    usage: Any = None
    system_fingerprint: Any = None
    error: Any = None


class Stream:
    """A completion as it is written, a token or a few at a time.

    `cut` says that the prompt's ending has ended it: nothing more of it is wanted. `last` is the
    event that came last, and `failed` says that the server told of an error in it.
    """

    def __init__(self, ending: Ending | None) -> None:
        self._ending = ending
        self._rest = b""
        self._text, self._pieces = "", 0
        self._told: dict[str, Any] = {}
        self._signed = False
        self.cut = self.failed = False
        self.last = b""

    def heard(self, chunk: bytes) -> bool:
        """Take a part of the body; whether an event came whole.

        ValueError, which says what is wrong, where one is none of a completion's.
        """
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        events = [line[5:].strip() for line in lines if line.startswith(b"data:")]
        for event in events:
            if event != b"[DONE]" and not self.cut:
                self._take(event)
        return bool(events)

    def whole(self) -> bytes:
        """The answer as a body that has come in one piece."""
        told = dict(self._told)
        choice = {
            name: told.pop(name, None) for name in ("finish_reason", "stop_reason", "matched_stop")
        }
        if self.cut:
            choice["finish_reason"] = "cut"
            # Where the server counts at the end alone, a piece is a token.
            told.setdefault("usage", {"prompt_tokens": 0, "completion_tokens": self._pieces})
        return json.dumps({"choices": [{"text": self._text} | choice], **told}).encode()

    def _take(self, content: bytes) -> None:
        self.last = content
        try:
            event = _Event.model_validate_json(mended(content)[0])
        except ValidationError as error:
            first = error.errors(include_input=False, include_context=False)[0]
            raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        if event.error is not None:
            self.failed = True
            raise ValueError("the server tells of an error")
        said = event.model_dump(exclude={"choices", "error"})
        for piece in event.choices:
            said |= piece.model_dump(exclude={"text"})
            self._go_on(piece.text)
        self._told |= {name: value for name, value in said.items() if value is not None}

    def _go_on(self, text: str) -> None:
        self._text += text
        self._pieces += 1
        if self._ending is None:
            return
        signed = any(sign in text for sign in self._ending.signs)
        asked = signed or self._signed or self._pieces % ASKED == 0
        self._signed = signed
        if asked and (place := self._ending.place(self._text)) is not None:
            self._text, self.cut = self._text[:place], True
