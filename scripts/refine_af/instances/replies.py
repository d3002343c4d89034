"""Stage 3's replies: written round by round until too few hold an output, and read back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from pathlib import Path

from refine_af.engines.replies import Group
from refine_af.engines.reply_log import LoggedReply
from refine_af.engines.rounds import Rounds, Written
from refine_af.errors import InputError, shown
from refine_af.instances.rounds import Part, parts_of, requests_of
from refine_af.jobs.progress import Progress
from refine_af.prompts.class_labels import parse_class_labels
from refine_af.prompts.completions import Parse, parse_completion
from refine_af.prompts.templates import Prompt
from refine_af.records.instances import Template
from refine_af.records.instructions import Instruction
from refine_af.settings.instances import Instances
from refine_af.settings.watch import ParsedWatch

PARSES: Mapping[Template, Parse] = {
    "input first": parse_completion,
    "output first": parse_class_labels,
}


@dataclass(frozen=True)
class AskedReply(LoggedReply):
    """A reply as a line of a round's file, with the prompt that it answers."""

    template: Template


class Writing:
    """Writes a job's replies, shows how many held an output, and stops below the watch's floor."""

    def __init__(
        self,
        settings: Instances,
        watch: ParsedWatch,
        prompts: Mapping[Template, Prompt],
        rounds: Mapping[int, Sequence[Instruction]],
        classification: Set[str] = frozenset(),
    ) -> None:
        """`rounds` are those that the job takes, by number.

        `classification` are the ids of the instructions to be asked output first.
        """
        self._settings, self._watch, self._prompts, self._rounds = settings, watch, prompts, rounds
        self._classification = classification
        self._progress = Progress(sum(map(len, rounds.values())), "instructions answered")
        self._ended = self._replies = self._parsed = 0

    def round(self, number: int, log_of: Callable[[Part], Rounds]) -> list[AskedReply]:
        """A round's replies, in the order of its instructions, on disk before this returns.

        `log_of` gives where the replies of a part are kept, and who gives them. InputError where,
        after `patience` rounds, too few of all the job's replies held an output.
        """
        rows = self._rounds[number]
        found: dict[int, AskedReply] = {}
        made = []
        for part in parts_of(rows, self._settings, self._classification):
            made.append(self._asked(number, part, log_of(part)))
            for place, reply in zip(part.places, made[-1].replies, strict=True):
                found[place] = AskedReply(number, place, **asdict(reply), template=part.template)
        replies = [found[place] for place in range(len(rows))]
        parsed = sum(map(_holds_output, replies))
        self._progress.line(f"round {number}: {parsed} of {len(rows)} replies {_told(made)}")
        self._ended += 1
        self._replies += len(replies)
        self._parsed += parsed
        self._check(replies)
        return replies

    def _asked(self, number: int, part: Part, log: Rounds) -> Written:
        rows = [self._rounds[number][place] for place in part.places]
        prompt = self._prompts[part.template]
        tails, seeds = requests_of(rows, self._settings, prompt)
        return log.counted(number, [Group(prompt.prefix, tails)], seeds, self._progress)

    def _check(self, last: Sequence[AskedReply]) -> None:
        least = self._watch.least_parsed
        if self._ended < self._watch.patience or self._parsed >= least * self._replies:
            return
        odd = next((reply.text for reply in last if not _holds_output(reply)), "")
        raise InputError(
            f"of the {self._replies} replies of {self._ended} rounds {self._parsed} "
            f"({self._parsed / self._replies:.1%}) held an output; watch.instances.least_parsed "
            f"asks for {least:.1%}. One that held none: {shown(odd, 300)}. Look at the prompt "
            "file, instances.sampling (stop, max_new_tokens) and the model. What was written is "
            "kept: a lower floor goes on from here."
        )


def _holds_output(reply: AskedReply) -> bool:
    return bool(PARSES[reply.template](reply.text))


def _told(parts: Sequence[Written]) -> str:
    """What is said of a round's replies, and how fast the new ones of its parts were written."""
    made = Written(
        replies=[reply for part in parts for reply in part.replies],
        new=sum(part.new for part in parts),
        tokens=sum(part.tokens for part in parts),
        seconds=sum(part.seconds for part in parts),
        loading_s=sum(part.loading_s for part in parts),
    )
    return "held an output" + (f" · {made.rate}" if made.new else "")


def in_rounds(
    files: Sequence[tuple[Path, Sequence[AskedReply]]], rounds: Sequence[Sequence[Instruction]]
) -> list[Sequence[AskedReply]]:
    """The replies of a segment's rounds, from their files.

    InputError, with file and line, where these are not one reply to each instruction.
    """
    if len(files) != len(rounds):
        raise InputError(f"--replies: {len(files)} files for a segment of {len(rounds)} rounds")
    for number, ((path, rows), instructions) in enumerate(zip(files, rounds, strict=True)):
        for place, row in enumerate(rows):
            if (row.round, row.request) != (number, place):
                raise InputError(
                    f"{path}, line {place + 1}: round {row.round}, request {row.request}, where "
                    f"round {number}, request {place} follows"
                )
        if len(rows) != len(instructions):
            raise InputError(f"{path}: {len(rows)} replies to {len(instructions)} instructions")
    return [rows for _, rows in files]
