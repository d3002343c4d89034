"""What a model's configuration says of its layers and its lengths, wherever it says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from refine_af.errors import InputError
from refine_af.models.upstream import takes_masks_by_kind, without_adapter

# Kinds of rope whose angles hang on the longest text of a batch, once one passes a length.
BY_LONGEST = ("dynamic", "longrope")
ATTENTION = frozenset({"full_attention", "sliding_attention"})


def text_config(model: Any) -> Any:
    """The configuration of the model's text layers, which may stand within another."""
    return model.config.get_text_config(decoder=True)


def architecture(model: Any) -> str:
    """The name of the model's class, without adapters."""
    return type(without_adapter(model)).__name__


def kinds_of_attention(config: Any) -> set[str]:
    """How the layers attend: full_attention, sliding_attention, both, or what else there is."""
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    return set(kinds or ["sliding_attention" if window else "full_attention"])


def room_of(config: Any) -> int | None:
    """How many tokens a text and its reply may have; None where the configuration sets no end."""
    room = getattr(config, "max_position_embeddings", None)
    return room if isinstance(room, int) else None


def check_length(model: Any, longest: int, stage: str) -> None:
    """InputError where a text of `longest` tokens would change the positions of those beside it."""
    config = text_config(model)
    given = getattr(config, "rope_parameters", None) or {}
    by_kind = [entry for entry in given.values() if isinstance(entry, Mapping)]
    for rope in by_kind or [given]:
        kind = rope.get("rope_type")
        end = rope.get("original_max_position_embeddings") or config.max_position_embeddings
        if kind in BY_LONGEST and longest > end:
            raise InputError(
                f"{architecture(model)} cannot do {stage} with texts of {longest} tokens: beyond "
                f"{end} its positions ({kind} rope) hang on the longest text of a batch; ask for "
                "fewer tokens"
            )


def window_of(model: Any, longest: int) -> int | None:
    """How many tokens back some layers attend, None where that is all of the `longest` text.

    InputError where layers are of an unknown kind, or take no mask of their own kind.
    """
    config = text_config(model)
    kinds = kinds_of_attention(config)
    if unknown := kinds - ATTENTION:
        raise InputError(
            f"{architecture(model)}: layers of the kind {sorted(unknown)[0]!r} cannot be generated "
            "with yet"
        )
    window = getattr(config, "sliding_window", None)
    if not window or window >= longest or "sliding_attention" not in kinds:
        return None
    if len(kinds) > 1 and not takes_masks_by_kind(model):
        raise InputError(
            f"texts of {longest} tokens exceed the window of {window} tokens that some of the "
            f"layers of {architecture(model)} have; lower max_new_tokens or shorten the prompt"
        )
    return int(window)


def by_kind_of_attention(model: Any, window: int | None, mask: Callable[[int | None], Any]) -> Any:
    """The masks of a pass, as the model takes them: one, or one for each kind of its layers.

    `window` is what `window_of` gives, and `mask` makes the mask of a window, or of None.
    """
    if window is None or len(kinds_of_attention(text_config(model))) == 1:
        return mask(window)
    return {"full_attention": mask(None), "sliding_attention": mask(window)}
