"""Chat templates: a prompt as one user turn, in the markup that a model was tuned on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from refine_af.errors import InputError, shown
from refine_af.models.encoding import encode_after, special_names, through_last_special
from refine_af.prompts.marked import Marked, marked, own

# What stands for a turn's words while a template is taken apart: letters of no special token.
ASKED, ANSWERED = "Qzasked", "Qzanswered"
# The first of January 2025, a Wednesday.
DAY = {"%d": "01", "%m": "01", "%Y": "2025", "%y": "25", "%B": "January", "%b": "Jan"}
DAY |= {"%A": "Wednesday", "%a": "Wed", "%H": "00", "%M": "00", "%S": "00"}


@dataclass(frozen=True)
class Chat:
    """A tokenizer's chat template around one prompt and its reply.

    `head` stands before a prompt as far as the last special token, `lead` after that; `foot` goes
    on to where the model writes, and `end` ends what it wrote with the token `stop`. `trimmed` says
    whether the template drops the spaces around a turn's words.
    """

    head: Marked
    lead: Marked
    foot: Marked
    end: Marked
    stop: int
    trimmed: bool

    def turn(self, prefix: str, tail: str) -> tuple[Marked, Marked]:
        """A prompt, in two parts that are encoded apart, as a turn in such parts.

        The first holds all that prompts with one prefix share.
        """
        first, last = marked(prefix), marked(tail)
        if self.trimmed:
            first, last = first.lstrip(), last.rstrip()
            last = last if first else last.lstrip()
        if first:
            return self.head + self.lead + first, last + self.foot
        return self.head, self._whole(last)

    def _whole(self, text: Marked) -> Marked:
        return self.lead + text + self.foot


def chat_of(tokenizer: Any) -> Chat:
    """The tokenizer's chat template. InputError where it has none, or one that is not understood.

    Templates that know a date or a thinking mode are given one date, and no thinking: what is asked
    must not change from day to day, and a reply is to be the answer.
    """
    prompt = _rendered(tokenizer, ASKED, None)
    before, after = _parted(tokenizer, prompt, ASKED)
    talk = _rendered(tokenizer, ASKED, ANSWERED)
    _, end = _parted(tokenizer, talk, ANSWERED)
    head = Marked(before, own(before).own, begun=True)
    cut = through_last_special(tokenizer, head)
    ending, stop = _end(tokenizer, end)
    spaced, _ = _rendered(tokenizer, f" {ASKED} ", None).split(ASKED)
    return Chat(
        head=head.cut(0, cut),
        lead=Marked(before[cut:], own(before[cut:]).own, begun=not cut),
        foot=own(after),
        end=own(ending),
        stop=stop,
        trimmed=spaced == before,
    )


@dataclass(frozen=True)
class Conversation:
    """A tokenizer's chat template around one user turn and one answer, to its very end.

    `head` stands before the user's words, `middle` between them and the answer, `foot` after that.
    `trimmed` says of each of the two whether the template drops the spaces around it.
    """

    head: Marked
    middle: Marked
    foot: Marked
    trimmed: tuple[bool, bool]

    def parts(self, asked: str, answered: str) -> tuple[Marked, ...]:
        """The text's five parts, of which two are what somebody wrote, and so no markup."""
        said = [
            marked(words.strip() if trimmed else words)
            for words, trimmed in zip((asked, answered), self.trimmed, strict=True)
        ]
        return self.head, said[0], self.middle, said[1], self.foot


def conversation_of(tokenizer: Any) -> Conversation:
    """The tokenizer's chat template. InputError where it has none, or one that is not understood.

    Dates and thinking are as in `chat_of`.
    """
    head, rest = _parted(tokenizer, _rendered(tokenizer, ASKED, ANSWERED), ASKED)
    middle, foot = _parted(tokenizer, rest, ANSWERED)
    spaced = _rendered(tokenizer, f" {ASKED} ", f" {ANSWERED} ")
    trimmed = f" {ASKED} " not in spaced, f" {ANSWERED} " not in spaced
    return Conversation(Marked(head, own(head).own, begun=True), own(middle), own(foot), trimmed)


def encoded_turn(
    tokenizer: Any, chat: Chat, prompt: str, completion: str
) -> tuple[list[int], list[int]]:
    """Token ids of a prompt's turn, to where the model goes on, and of its reply with its end."""
    head, rest = chat.turn("", prompt)
    given = encode_after(tokenizer, "", head) if head else []
    given += encode_after(tokenizer, head, rest)
    return given, encode_after(tokenizer, rest, marked(completion) + chat.end)


def _end(tokenizer: Any, end: str) -> tuple[str, int]:
    """What ends a reply: the template's words up to its first special token, or end of text."""
    names = special_names(tokenizer)
    found = [(place, name) for name in names if (place := end.find(name)) >= 0]
    if not found:
        return tokenizer.eos_token, tokenizer.eos_token_id
    place, name = min(found, key=lambda pair: (pair[0], -len(pair[1])))
    return end[: place + len(name)], names[name]


def _rendered(tokenizer: Any, asked: str, answered: str | None) -> str:
    from jinja2 import TemplateError

    turns = [{"role": "user", "content": asked}]
    if answered is not None:
        turns.append({"role": "assistant", "content": answered})
    if not tokenizer.chat_template:
        raise InputError(
            f"{tokenizer.name_or_path}: the tokenizer has no chat template, by which this model is "
            "to be asked"
        )
    try:
        text = tokenizer.apply_chat_template(
            turns,
            tokenize=False,
            add_generation_prompt=answered is None,
            enable_thinking=False,
            chat_template=_on_one_day(tokenizer.get_chat_template()),
            date_string="01 Jan 2025",
        )
    except (TemplateError, ValueError, TypeError, LookupError) as error:
        raise InputError(
            f"{tokenizer.name_or_path}: the chat template fails at one user turn: "
            f"{shown(str(error), 300)}"
        ) from None
    return str(text)


def _parted(tokenizer: Any, text: str, words: str) -> tuple[str, str]:
    """The template's text before and after a turn's words, which must stand there once."""
    parts = text.split(words)
    if len(parts) != 2:
        raise InputError(
            f"{tokenizer.name_or_path}: the chat template writes a turn's words "
            f"{len(parts) - 1} times, where once is expected"
        )
    return parts[0], parts[1]


def _on_one_day(template: str) -> str:
    """The template with the same date on every day, where it asks for one."""
    if "strftime_now" not in template:
        return template
    written = " | ".join(f"replace('{code}', '{value}')" for code, value in DAY.items())
    return f"{{% macro strftime_now(form) %}}{{{{ form | {written} }}}}{{% endmacro %}}{template}"
