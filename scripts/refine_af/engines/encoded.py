"""Prompts as the tokens that a model reads, and which of them leave room for a reply."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from refine_af.engines.replies import Ending, Group
from refine_af.errors import InputError
from refine_af.models.chat import Chat
from refine_af.models.encoding import encode, encode_after
from refine_af.settings.sampling import Sampling


@dataclass(frozen=True, eq=False)
class TokenPrompt:
    """A prompt: its place among all, its text, and its tokens, of which `head` are shared."""

    place: int
    text: str
    head: list[int]
    tail: list[int]
    seed: int
    ending: Ending | None

    def __len__(self) -> int:
        return len(self.head) + len(self.tail)


def encoded(
    tokenizer: Any, groups: Sequence[Group], seeds: Sequence[int], chat: Chat | None
) -> Iterator[list[TokenPrompt]]:
    """Each group's prompts; a prefix and each tail are tokenised apart, in a chat as one turn.

    ValueError unless there is one seed for each tail.
    """
    numbered = zip(range(len(seeds)), seeds, strict=True)
    for asked in groups:
        group = in_chat(asked, chat) if chat else asked
        # Without a prefix a text starts where its tail does.
        head = encode(tokenizer, group.prefix, start=True) if group.prefix else []
        places = list(islice(numbered, len(group.tails)))
        yield [
            TokenPrompt(
                place,
                group.prefix + tail,
                head,
                encode_after(tokenizer, group.prefix, tail),
                seed,
                group.ending,
            )
            for (place, seed), tail in zip(places, group.tails, strict=True)
        ]
    if next(numbered, None):
        raise ValueError("more seeds than tails")


def in_chat(group: Group, chat: Chat) -> Group:
    """Prompts as turns of a chat; what they share is still one prefix."""
    turns = [chat.turn(group.prefix, tail) for tail in group.tails]
    return Group(turns[0][0] if turns else "", [tail for _, tail in turns], group.ending)


def with_room(
    prompts: Sequence[TokenPrompt], sampling: Sampling, room: int | None
) -> tuple[list[TokenPrompt], list[TokenPrompt]]:
    """The prompts of a group that a context of `room` tokens holds with their replies; the others.

    Shortest first; `room` is None where nothing limits it. InputError where one is empty, or what
    they share leaves no room.
    """
    if any(not prompt.tail for prompt in prompts):
        raise InputError("a prompt is empty after its shared prefix: there is nothing to continue")
    ordered = sorted(prompts, key=len)
    if not room or not ordered:
        return ordered, []
    head, most = len(ordered[0].head), room - sampling.max_new_tokens
    if head >= most:
        raise InputError(
            f"the {head} tokens that begin every prompt, with max_new_tokens "
            f"{sampling.max_new_tokens}, exceed the model's context of {room}"
        )
    fitting = [prompt for prompt in ordered if len(prompt) <= most]
    return fitting, ordered[len(fitting) :]
