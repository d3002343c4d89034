"""Scores of (instruction, input, output) triplets by a reward model and an evaluator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from refine_af.errors import InputError
from refine_af.models.backbones import device, load_tokenizer
from refine_af.models.encoding import encode
from refine_af.models.huge_pages import lay_together
from refine_af.rewards.batches import in_batches
from refine_af.rewards.equation_1 import COMPONENTS
from refine_af.rewards.judges import RewardModel as RewardModel
from refine_af.rewards.judges import evaluator_logits, load_evaluator
from refine_af.settings.reward import Reward

MARKERS = ("<|prompter|>", "<|assistant|>", "<|endoftext|>")


@dataclass(frozen=True)
class Triplet:
    """What is scored: an instruction and the (input, output) pair that a model wrote for it."""

    instruction: str
    input: str
    output: str


@dataclass(frozen=True)
class _Piece:
    """A part of a judge's text: a special token where `marker` says so, otherwise plain text."""

    text: str
    marker: bool = False


def reward_model_text(triplet: Triplet) -> str:
    """The reward model's text: instruction and input are the prompter's turn, output follows it.

    Source: OpenAssistant/oasst-rm-2.1-pythia-1.4b-epoch-2.5, model card.
    """
    return _joined(_reward_model_pieces(triplet))


def evaluator_questions(triplet: Triplet) -> dict[str, str]:
    """The evaluator's text for each of its three components.

    Source: UniEval@d33e7b6c, utils.py add_question, task "dialogue"; the history is the
    instruction and its input, a turn ending as in UniEval's examples with an empty line.
    """
    return {name: _joined(pieces) for name, pieces in _evaluator_pieces(triplet).items()}


def reward_model_ids(tokenizer: Any, triplet: Triplet, max_length: int) -> list[int]:
    """`reward_model_text` as token ids, at most `max_length`.

    A longer text is cut on the right, before the closing marker, at which the score is read.
    """
    ids = _ids(tokenizer, _reward_model_pieces(triplet))
    return ids if len(ids) <= max_length else [*ids[: max_length - 1], ids[-1]]


def evaluator_ids(tokenizer: Any, triplet: Triplet, max_length: int) -> dict[str, list[int]]:
    """`evaluator_questions` as token ids, each at most `max_length`, the end-of-text token last.

    A longer text is cut on the right, before that token, as UniEval's scorer does.
    """
    return {
        name: [*_ids(tokenizer, pieces)[: max_length - 1], tokenizer.eos_token_id]
        for name, pieces in _evaluator_pieces(triplet).items()
    }


class Scorer:
    """The two judges of Table I, loaded once.

    They compute in float32, as published, on a GPU too: 8.3 GB of weights. bfloat16 would keep two
    or three digits of a score, and so make another reward.
    """

    def __init__(self, settings: Reward, model: Path, evaluator: Path) -> None:
        self._max_length = settings.max_length
        self._model_tokenizer = load_tokenizer(model)
        _check_markers(self._model_tokenizer, model)
        self._model = RewardModel.load(model).to(device()).eval()
        self._evaluator_tokenizer = load_tokenizer(evaluator)
        self._yes, self._no = answer_ids(self._evaluator_tokenizer, evaluator)
        self._evaluator = load_evaluator(evaluator).to(device()).eval()
        for judge in (self._model, self._evaluator):
            lay_together(judge)

    def __call__(self, triplets: Sequence[Triplet]) -> list[dict[str, float]]:
        """Each triplet's components, in order; the others decide a score's last bits at most."""
        length = self._max_length
        texts = [reward_model_ids(self._model_tokenizer, entry, length) for entry in triplets]
        columns = {"reward_model": in_batches(self._model, texts)}
        questions = [evaluator_ids(self._evaluator_tokenizer, entry, length) for entry in triplets]
        for name in COMPONENTS[1:]:
            columns[name] = in_batches(self._answer, [entry[name] for entry in questions])
        return [{name: columns[name][row] for name in COMPONENTS} for row in range(len(triplets))]

    def _answer(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return evaluator_logits(self._evaluator, ids, mask, self._yes, self._no).sigmoid()


def answer_ids(tokenizer: Any, folder: Path) -> tuple[int, int]:
    """The first tokens of "Yes" and "No". InputError where the tokenizer cannot serve UniEval."""
    # The text of this component has two markers, which must be read as one token each.
    pieces = _evaluator_pieces(Triplet("What is it?", "", "It is."))["coherence"]
    whole = tokenizer.encode(_joined(pieces), add_special_tokens=False)
    if whole != _ids(tokenizer, pieces) or whole.count(tokenizer.eos_token_id) != 2:
        raise InputError(f"{folder}: its tokenizer does not read '</s>' as its end of text")
    yes, no = (tokenizer.encode(word, add_special_tokens=False)[0] for word in ("Yes", "No"))
    if yes == no:
        raise InputError(f"{folder}: its tokenizer begins 'Yes' and 'No' with the same token")
    return yes, no


def _reward_model_pieces(triplet: Triplet) -> list[_Piece]:
    prompter, assistant, end = (_Piece(marker, marker=True) for marker in MARKERS)
    return [prompter, _Piece(task_of(triplet)), end, assistant, _Piece(triplet.output), end]


def _evaluator_pieces(triplet: Triplet) -> dict[str, list[_Piece]]:
    end = _Piece("</s>", marker=True)
    response = _Piece(f" response: {triplet.output}")
    question = "question: Is this {} response "
    return {
        "naturalness": [_Piece(question.format("a natural") + "in the dialogue? "), end, response],
        "coherence": [
            _Piece(question.format("a coherent") + "given the dialogue history? "),
            end,
            _Piece(f"{response.text} "),
            end,
            _Piece(f" dialogue history: {task_of(triplet)}\n\n"),
        ],
        "understandability": [
            _Piece(question.format("an understandable") + "in the dialogue? "),
            end,
            response,
        ],
    }


def task_of(triplet: Triplet) -> str:
    """The instruction, and below it the input if there is one."""
    return f"{triplet.instruction}\n{triplet.input}" if triplet.input else triplet.instruction


def _joined(pieces: Sequence[_Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def _ids(tokenizer: Any, pieces: Sequence[_Piece]) -> list[int]:
    ids: list[int] = []
    for piece in pieces:
        if piece.marker:
            ids.append(tokenizer.convert_tokens_to_ids(piece.text))
        else:
            ids += _plain_ids(tokenizer, piece.text)
    return ids


def _plain_ids(tokenizer: Any, text: str) -> list[int]:
    """`text` as token ids of which none is special, whatever it holds."""
    # The token for the unknown may stay, unless it is the end of text too, as in GPT-NeoX's.
    special = set(tokenizer.all_special_ids) - ({tokenizer.unk_token_id} - {tokenizer.eos_token_id})
    ids: list[int] = []
    for token in encode(tokenizer, text, start=False):
        if token not in special:
            ids.append(token)
            continue
        # T5's vocabulary holds "</s>" as a word like any other, and its normalisation can make
        # one of other characters: such a word is spelt out.
        for character in tokenizer.convert_ids_to_tokens(token):
            ids += encode(tokenizer, character, start=False)
    return ids


def _check_markers(tokenizer: Any, folder: Path) -> None:
    for marker in MARKERS:
        if len(tokenizer.encode(marker, add_special_tokens=False)) != 1:
            raise InputError(f"{folder}: its tokenizer has no token {marker!r}")
