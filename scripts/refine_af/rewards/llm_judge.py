"""A language model behind a server as the judge: a number of a scale for a triplet, by a rubric.

Where the server gives log-probabilities, `judge` is the mean of the scale's numbers, each weighed
by its probability as the answer's first token (as G-Eval, Liu et al. 2023, arXiv 2303.16634);
otherwise, and where less than half of the probability is the numbers', it is the number written.
"""

from __future__ import annotations

import hashlib
import json
import re
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from refine_af.engines.server_requests import Request, Requests
from refine_af.errors import InputError
from refine_af.files.journal import Journal
from refine_af.jobs.serving import at_address
from refine_af.prompts.templates import read_prompt
from refine_af.rewards.judge_answers import Answer, read_answer
from refine_af.rewards.scorer import Triplet
from refine_af.rewards.scorers import Asked
from refine_af.settings.reward import JUDGE_SLOTS, LlmJudge, Reward

LEAST_SHARE = 0.5  # of the first token's probability, for the numbers to be what it is about
NUMBER = re.compile(r"(?<![\w.,-])\d+(?:\.\d+)?(?![\w%])", re.ASCII)
# What a special token of any model may begin with, and JSON can write as an escape.
MARKUP = re.compile(r"<|\[(?=[A-Za-z/])")
ASKED_AGAIN = (
    "run again, this asks the same. If that is too long for the server, only this helps: the same "
    "model with a larger context, at this address or another, or a lower "
    "reward.llm_judge.characters, which starts the stage afresh."
)


@dataclass(frozen=True)
class LoggedAnswer:
    """An answer as a line of the journal, by the sha256 of the prompt that it answers."""

    prompt: str
    text: str
    shares: dict[str, float]


class Scorer:
    """The judge, whose answers are kept in a journal: the same prompt is never asked twice."""

    def __init__(self, settings: Reward, asked: Asked | None) -> None:
        if asked is None or settings.llm_judge is None:
            raise InputError("llm_judge: needs its section, a server and a prompt")
        self._settings, self._model = settings.llm_judge, asked.server.model
        self._prompt = read_prompt(asked.prompt, JUDGE_SLOTS)
        tokens = self._settings.max_new_tokens
        self._requests = Requests(
            at_address(asked.server),
            "chat/completions",
            read_answer,
            tokens=tokens,
            too_long=ASKED_AGAIN,
        )
        self._journal = Journal(asked.kept)
        weakref.finalize(self, self._journal.close)
        rows = self._journal.records(LoggedAnswer)
        self._known = {row.prompt: Answer(row.text, row.shares) for row in rows}

    def __call__(self, triplets: Sequence[Triplet]) -> list[dict[str, float]]:
        """Each triplet's score, in order, its answer on disk before this returns."""
        prompts = [self._filled(triplet) for triplet in triplets]
        self._ask(dict.fromkeys(prompts))
        scores = [score(self._known[digest(prompt)], self._settings) for prompt in prompts]
        self._tell(scores, triplets)
        unreadable = self._settings.unreadable
        return [{"judge": unreadable if found is None else found} for found in scores]

    def _filled(self, triplet: Triplet) -> str:
        most = self._settings.characters
        texts = {slot: quoted(getattr(triplet, slot), most) for slot in JUDGE_SLOTS}
        return str(self._prompt.fill(**texts))

    def _ask(self, prompts: Iterable[str]) -> None:
        new = [prompt for prompt in prompts if digest(prompt) not in self._known]
        bodies = ((place, Request(self._body(prompt))) for place, prompt in enumerate(new))
        for place, answer in self._requests.answers(bodies):
            row = LoggedAnswer(digest(new[place]), answer.text, answer.shares)
            self._journal.append([asdict(row)])
            self._known[row.prompt] = answer
        self._journal.sync()

    def _body(self, prompt: str) -> bytes:
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": self._settings.max_new_tokens,
            "temperature": 0.0,
            "seed": 0,
            "n": 1,
            "stream": False,
        }
        if self._settings.top_logprobs:
            body |= {"logprobs": True, "top_logprobs": self._settings.top_logprobs}
        return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")

    def _tell(self, scores: Sequence[float | None], triplets: Sequence[Triplet]) -> None:
        asked, most = self._settings, self._settings.characters
        if cut := sum(any(len(text) > most for text in vars(row).values()) for row in triplets):
            print(
                f"llm_judge: texts of {cut} of {len(triplets)} triplets are cut to {most} "
                "characters (reward.llm_judge.characters)",
                flush=True,
            )
        if unreadable := scores.count(None):
            print(
                f"llm_judge: {unreadable} of {len(scores)} answers hold no number from "
                f"{asked.least} to {asked.most}, and count as {asked.unreadable:g}",
                flush=True,
            )


def quoted(text: str, most: int) -> str:
    """The first `most` characters as a JSON string, on one line, without any model's markup.

    It says the same as the text: what could begin a special token is an escape there.
    """
    said = json.dumps(text[:most], ensure_ascii=False)
    return MARKUP.sub(lambda found: f"\\u{ord(found[0]):04x}", said)


def digest(prompt: str) -> str:
    """64 hex digits for a prompt."""
    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()


def score(answer: Answer, scale: LlmJudge) -> float | None:
    """The number that an answer gives; None where it gives none of the scale's."""
    numbers = range(scale.least, scale.most + 1)
    shares = {number: answer.shares.get(str(number), 0.0) for number in numbers}
    whole = sum(shares.values())
    if whole >= LEAST_SHARE:
        return sum(number * share for number, share in shares.items()) / whole
    written = NUMBER.search(answer.text)
    found = float(written[0]) if written and len(written[0]) < 9 else -1.0
    return found if scale.least <= found <= scale.most else None
