"""Stage 3's replies: written round by round until too few hold an output, and read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from refine_af.engines.replies import Group, Reply
from refine_af.engines.reply_log import LoggedReply, reply_in
from refine_af.engines.rounds import Rounds
from refine_af.errors import InputError, shown
from refine_af.instances.rounds import requests_of
from refine_af.jobs.progress import Progress
from refine_af.prompts.completions import parse_completion
from refine_af.prompts.templates import Prompt
from refine_af.records.instructions import Instruction
from refine_af.settings.instances import Instances
from refine_af.settings.watch import ParsedWatch


class Writing:
    """Writes a job's replies, shows how many held an output, and stops below the watch's floor."""

    def __init__(
        self,
        settings: Instances,
        watch: ParsedWatch,
        prompt: Prompt,
        rounds: Mapping[int, Sequence[Instruction]],
    ) -> None:
        """`rounds` are those that the job takes, by number."""
        self._settings, self._watch, self._prompt, self._rounds = settings, watch, prompt, rounds
        self._progress = Progress(sum(map(len, rounds.values())), "instructions answered")
        self._ended = self._replies = self._parsed = 0

    def round(self, number: int, log: Rounds) -> list[LoggedReply]:
        """A round's replies, in the order of its instructions, on disk before this returns.

        InputError where, after `patience` rounds, too few of all the job's replies held an output.
        """
        tails, seeds = requests_of(self._rounds[number], self._settings, self._prompt)
        made = log.counted(number, [Group(self._prompt.prefix, tails)], seeds, self._progress)
        replies = made.replies
        parsed = sum(bool(parse_completion(reply.text)) for reply in replies)
        self._progress.line(
            f"round {number}: {parsed} of {len(replies)} replies held an output"
            + (f" · {made.rate}" if made.new else "")
        )
        self._ended += 1
        self._replies += len(replies)
        self._parsed += parsed
        self._check(replies)
        return [LoggedReply(number, place, **vars(reply)) for place, reply in enumerate(replies)]

    def _check(self, last: Sequence[Reply]) -> None:
        least = self._watch.least_parsed
        if self._ended < self._watch.patience or self._parsed >= least * self._replies:
            return
        odd = next((reply.text for reply in last if not parse_completion(reply.text)), "")
        raise InputError(
            f"of the {self._replies} replies of {self._ended} rounds {self._parsed} "
            f"({self._parsed / self._replies:.1%}) held an output; watch.instances.least_parsed "
            f"asks for {least:.1%}. One that held none: {shown(odd, 300)}. Look at the prompt "
            "file, instances.sampling (stop, max_new_tokens) and the model. What was written is "
            "kept: a lower floor goes on from here."
        )


def in_rounds(
    files: Sequence[tuple[Path, Sequence[LoggedReply]]], rounds: Sequence[Sequence[Instruction]]
) -> list[list[Reply]]:
    """The replies of a segment's rounds, from their files.

    InputError, with file and line, where these are not one reply to each instruction.
    """
    if len(files) != len(rounds):
        raise InputError(f"--replies: {len(files)} files for a segment of {len(rounds)} rounds")
    found = []
    for number, ((path, rows), instructions) in enumerate(zip(files, rounds, strict=True)):
        for place, row in enumerate(rows):
            if (row.round, row.request) != (number, place):
                raise InputError(
                    f"{path}, line {place + 1}: round {row.round}, request {row.request}, where "
                    f"round {number}, request {place} follows"
                )
        if len(rows) != len(instructions):
            raise InputError(f"{path}: {len(rows)} replies to {len(instructions)} instructions")
        found.append([reply_in(row) for row in rows])
    return found
