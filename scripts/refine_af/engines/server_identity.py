"""Which server answers: the model as it lists it, and its version."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from refine_af.engines.server_session import Session
from refine_af.engines.server_words import fit_to_show
from refine_af.errors import InputError, shown

VOLATILE = ("created", "permission")  # of a list's entry, another one at every look
NAMED = 20  # names of other models that a message shows


async def identified(session: Session, url: str, name: str) -> dict[str, Any]:
    """What the server at `url` says of the model `name` and of itself; what it does not say is out.

    InputError where it lists its models, and none has that name, or where the API is elsewhere.
    """
    status, content = await session.got(f"{url}/models", "no list of its models")
    listed = _listed(content) if status == 200 else None
    if listed is None and not url.endswith("/v1"):
        there, _ = await session.got(f"{url}/v1/models", "no list of its models")
        if there == 200:
            raise InputError(f"{url}: the API is at {url}/v1: say so in servers.<model>.url")
    if status in (401, 403):
        said = fit_to_show(content, session.key)
        raise InputError(f"{url}/models: HTTP {status}: {said}: the key (key_variable) is refused")
    own = next((entry for entry in listed or () if entry.get("id") == name), None)
    if listed and own is None:
        names = ", ".join(shown(str(entry.get("id"))) for entry in listed[:NAMED])
        raise InputError(
            f"{url}: serves no model {name!r}, and these: {names}. Its adapters go by the names "
            "<model>-ppo and <model>-<cell>; they may be of a rank, or for modules, that the "
            "server was not started for, as its log tells"
        )
    told = {"model": {key: own[key] for key in own if key not in VOLATILE}} if own else {}
    status, content = await session.got(f"{url.removesuffix('/v1')}/version", "no version")
    version = _json(content) if status == 200 else None
    return told | ({"version": version} if isinstance(version, dict) else {})


def context_of(told: Mapping[str, Any]) -> tuple[str, int] | None:
    """What an identity calls the room for a prompt and its reply, and the tokens that it holds.

    vLLM and SGLang say max_model_len; llama-server meta.n_ctx, of one slot. None where it says
    nothing of it.
    """
    model = told.get("model", {})
    meta = model.get("meta")
    said = {
        "max_model_len": model.get("max_model_len"),
        "meta.n_ctx": meta.get("n_ctx") if isinstance(meta, dict) else None,
    }
    return next(((name, room) for name, room in said.items() if isinstance(room, int)), None)


def _listed(content: bytes) -> list[dict[str, Any]] | None:
    """The entries of a list of models; None where there is no such list."""
    found = _json(content)
    entries = found.get("data") if isinstance(found, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        return None
    return entries


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None
