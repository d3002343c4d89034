"""The demo's judges: a tiny GPT-NeoX reward model and a tiny T5 evaluator, trained from scratch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch.nn import functional

from refine_af.demo.corpus import Example, draw_example, draw_task, spoil
from refine_af.demo.families import FAMILIES, HELD_OUT
from refine_af.demo.solvable import Family
from refine_af.demo.training import train
from refine_af.randomness import derived_seed
from refine_af.rewards.batches import padded
from refine_af.rewards.judges import RewardModel, evaluator_logits
from refine_af.rewards.scorer import Triplet, answer_ids, evaluator_ids, reward_model_ids
from refine_af.settings.demo import TinyJudge

MAX_LENGTH = 256
HEADS = 4
PLAIN = 0.3  # share of examples whose input is just called "Input"
USELESS = 0.25  # share of natural or understandable responses that answer nothing

FAULTS = ("lazy", "echo", "loop", "garble", "cut", "other", "wrong", "foreign", "missing")
"""What a reward model must tell from a right example; PPO exploits a fault that is missing here."""

UNNATURAL = ("garble", "loop")
INCOHERENT = ("other", "other", "lazy", "echo", "foreign", "missing")
QUESTIONS = {"naturalness": 2, "understandability": 1, "coherence": 3}
"""How often each question is trained on: the harder, the more often."""

Pair = tuple[Triplet, Triplet]


def train_reward_model(settings: TinyJudge, tokenizer: Any, *, seed: int) -> RewardModel:
    """A reward model trained on pairs of a right example and the same one spoilt."""
    torch.set_num_threads(1)  # sums in one order: the same weights on every run
    torch.manual_seed(derived_seed(seed, "reward model"))
    random = Random(derived_seed(seed, "reward model's pairs"))
    model = _new_reward_model(settings, tokenizer)

    def loss_of(_: int) -> torch.Tensor:
        pairs = [graded_pair(random, _families()) for _ in range(settings.batch_size)]
        better, worse = _scores(model, tokenizer, pairs)
        ranking = -functional.logsigmoid(better - worse).mean()
        # The absolute terms place zero between right and wrong; the last keeps scores small.
        size = better.square().mean() + worse.square().mean()
        return ranking + 0.5 * _yes_and_no(better, worse) + 0.001 * size

    train(model, loss_of, steps=settings.steps, learning_rate=settings.learning_rate)
    return model


def reward_model_accuracy(
    model: RewardModel, tokenizer: Any, *, seed: int, held_out: bool, tasks: int
) -> float:
    """The share of fresh pairs in which the right example scores higher."""
    random = Random(derived_seed(seed, "quality", int(held_out)))
    pairs = [graded_pair(random, _families(held_out=held_out)) for _ in range(tasks)]
    with torch.inference_mode():
        better, worse = _scores(model, tokenizer, pairs)
    return float((better > worse).float().mean())


def train_evaluator(settings: TinyJudge, tokenizer: Any, *, seed: int) -> Any:
    """A T5 that answers UniEval's three questions about a response with Yes or No."""
    torch.set_num_threads(1)
    torch.manual_seed(derived_seed(seed, "evaluator"))
    random = Random(derived_seed(seed, "evaluator's pairs"))
    model = _new_evaluator(settings, tokenizer)
    parts = sum(QUESTIONS.values())

    def loss_of(_: int) -> torch.Tensor:
        loss = torch.zeros(())
        for question, share in QUESTIONS.items():
            count = settings.batch_size * share // (2 * parts)
            pairs = [question_pair(random, question, _families()) for _ in range(count)]
            loss = loss + share / parts * _yes_and_no(*_answers(model, tokenizer, question, pairs))
        return loss

    train(model, loss_of, steps=settings.steps, learning_rate=settings.learning_rate)
    return model


def evaluator_accuracy(
    model: Any, tokenizer: Any, question: str, *, seed: int, held_out: bool, tasks: int
) -> float:
    """The share of a question's fresh texts that the evaluator answers rightly."""
    random = Random(derived_seed(seed, "quality", question, int(held_out)))
    pairs = [question_pair(random, question, _families(held_out=held_out)) for _ in range(tasks)]
    with torch.inference_mode():
        better, worse = _answers(model, tokenizer, question, pairs)
    return float(torch.cat([better > 0, worse < 0]).float().mean())


def _new_reward_model(settings: TinyJudge, tokenizer: Any) -> RewardModel:
    from transformers import GPTNeoXConfig

    return RewardModel(
        GPTNeoXConfig(
            vocab_size=len(tokenizer),
            hidden_size=settings.hidden_size,
            intermediate_size=2 * settings.hidden_size,
            num_hidden_layers=settings.layers,
            num_attention_heads=HEADS,
            max_position_embeddings=2 * MAX_LENGTH,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


def _new_evaluator(settings: TinyJudge, tokenizer: Any) -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    return T5ForConditionalGeneration(
        T5Config(
            vocab_size=len(tokenizer),
            d_model=settings.hidden_size,
            d_kv=settings.hidden_size // HEADS,
            d_ff=2 * settings.hidden_size,
            num_layers=settings.layers,
            num_decoder_layers=1,
            num_heads=HEADS,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            decoder_start_token_id=tokenizer.pad_token_id,
        )
    )


def _families(*, held_out: bool = False) -> list[Family]:
    return [family for family in FAMILIES.values() if (family.name in HELD_OUT) is held_out]


def _yes_and_no(better: torch.Tensor, worse: torch.Tensor) -> torch.Tensor:
    """The mean negative log likelihood of Yes for the better and No for the worse ones."""
    return -(functional.logsigmoid(better).mean() + functional.logsigmoid(-worse).mean()) / 2


def graded_pair(random: Random, families: Sequence[Family]) -> Pair:
    """A right example and the same one with a fault."""
    example = draw_example(random, draw_task(random, families))
    spoilt = spoil(random, example, random.choice(FAULTS))
    plain = random.random() < PLAIN
    return _triplet(example, plain=plain), _triplet(spoilt, plain=plain)


def question_pair(random: Random, question: str, families: Sequence[Family]) -> Pair:
    """Two triplets about which the answers to a question are Yes and No."""
    example = draw_example(random, draw_task(random, families))
    plain = random.random() < PLAIN
    better = _triplet(example, plain=plain)
    if question == "coherence":
        return better, _triplet(spoil(random, example, random.choice(INCOHERENT)), plain=plain)
    if random.random() < USELESS:
        # A fluent answer is natural and understandable even where it is of no use.
        example = spoil(random, example, random.choice(("lazy", "echo")))
        better = _triplet(example, plain=plain)
    if question == "naturalness":
        return better, _triplet(spoil(random, example, random.choice(UNNATURAL)), plain=plain)
    return better, Triplet(better.instruction, better.input, _scrambled(random, better.output))


def _scrambled(random: Random, text: str) -> str:
    """The words with their letters mixed up; short ones become strings that are no words."""
    return " ".join(
        "".join(random.sample(word, len(word)))
        if len(word) > 2
        else random.choice("qxzvk") * random.randint(2, 4)
        for word in text.split()
    )


def _triplet(example: Example, *, plain: bool) -> Triplet:
    """The example as stage 3's parser reads it: an input keeps its name, unless it is "Input"."""
    text = f"{example.label}: {example.input}" if example.input and not plain else example.input
    return Triplet(example.task.instruction, text, example.output)


def _scores(
    model: RewardModel, tokenizer: Any, pairs: Sequence[Pair]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The reward model's scores of the better and of the worse ones, (pairs,) each."""
    rows = [reward_model_ids(tokenizer, triplet, MAX_LENGTH) for triplet in _sides(pairs)]
    better, worse = model(*_on_cpu(rows)).chunk(2)
    return better, worse


def _answers(
    model: Any, tokenizer: Any, question: str, pairs: Sequence[Pair]
) -> tuple[torch.Tensor, torch.Tensor]:
    """How much likelier Yes is than No for the better and for the worse ones, (pairs,) each."""
    yes, no = answer_ids(tokenizer, Path(tokenizer.name_or_path))
    rows = [evaluator_ids(tokenizer, triplet, MAX_LENGTH)[question] for triplet in _sides(pairs)]
    better, worse = evaluator_logits(model, *_on_cpu(rows), yes, no).chunk(2)
    return better, worse


def _on_cpu(rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Padded rows and their mask; models this small are trained on the CPU, GPU or not."""
    ids, mask = padded(rows)
    return ids.cpu(), mask.cpu()


def _sides(pairs: Sequence[Pair]) -> list[Triplet]:
    return [better for better, _ in pairs] + [worse for _, worse in pairs]
