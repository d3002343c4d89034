"""What the project uses of other libraries without their promise, each with the reason.

Versions are those that were looked at; docs/upgrading.md says what to look at in newer ones, and
tests/test_upstream.py fails where a hook has gone.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

# Of TRL 1.16.0: the name of its reference adapter, and its warning of a missing score.
REFERENCE = "ref"
NO_SCORE = "All reward functions returned None"


def use_one_gpu(arguments: Any) -> None:
    """Let a trainer with these TrainingArguments use one GPU at most, whatever it sees.

    transformers 5.23.0 counts them in `_n_gpu`, spreads batches over them by DataParallel, and has
    no setting for it. The others may be another job's.
    """
    arguments._n_gpu = min(1, arguments.n_gpu)


def keep_weights_unpacked(model: Any) -> None:
    """Let no 4-bit layer of the model change its weights for the sake of speed on a CPU.

    bitsandbytes 0.50.2 repacks a layer for good at its first forward in eval mode, on CPUs with
    AVX512-BF16 (nn/modules.py, Linear4bit.forward), and gradients through it are silently wrong
    from then on.
    """
    from bitsandbytes.nn import Linear4bit

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False


def forget_renaming(model: Any, names: Mapping[str, str]) -> None:
    """Let a model be saved under the names that it has, not those that its checkpoint had.

    transformers 5.23.0 keeps the renamings of a load in `_weight_conversions`, and undoes them.
    """
    kept = [one for one in model._weight_conversions if not {*one.source_patterns} & {*names}]
    model._weight_conversions = kept


def experts_without_adapter(model: Any) -> int:
    """How many weights stand in blocks of experts that PEFT 0.21.2 has put no adapter on.

    It adapts such a block as a parameter of its layer, and names it there.
    """
    adapted = {
        id(getattr(layer.get_base_layer(), layer.parameter_name))
        for layer in model.modules()
        if has_adapter(layer) and hasattr(layer, "parameter_name")
    }
    blocks = (weight for weight in model.parameters() if weight.dim() == 3)
    return sum(weight.numel() for weight in blocks if id(weight) not in adapted)


def has_adapter(layer: Any) -> bool:
    """Whether a layer is one that PEFT has put an adapter on; no public name says so in 0.21.2."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    return isinstance(layer, BaseTunerLayer)


def takes_masks_by_kind(model: Any) -> bool:
    """Whether a model takes a mask for each kind of its layers, as a dictionary.

    transformers 5.23.0 prepares the masks of most models that mix windows with full attention so,
    and says nowhere of which.
    """
    trunk = without_adapter(model).base_model
    return "attention_mask, dict)" in inspect.getsource(type(trunk).forward)


def without_adapter(model: Any) -> Any:
    """The model within PEFT's, or itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def rows_in_one_sequence(rows: Sequence[Sequence[int]]) -> dict[str, Any]:
    """The model's inputs for rows of token ids, one after the other, as SFTTrainer makes them.

    By TRL 1.16.0's own collator, which has no public name: transformers' of the same name is
    another one.
    """
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    collate = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)
    batch: dict[str, Any] = collate([{"input_ids": list(row)} for row in rows])
    return {name: value for name, value in batch.items() if name != "labels"}


@contextmanager
def special_tokens_built() -> Iterator[None]:
    """Let fast tokenizers build inputs with their special tokens, as benepar 0.2.0 asks them to.

    It reads off the place of a sentence's words from `build_inputs_with_special_tokens([-100])`, a
    method that transformers 5.23.0 has no more.
    """
    from transformers import PreTrainedTokenizerFast

    name = "build_inputs_with_special_tokens"
    if hasattr(PreTrainedTokenizerFast, name):
        yield
        return
    setattr(PreTrainedTokenizerFast, name, _with_special_tokens)
    try:
        yield
    finally:
        delattr(PreTrainedTokenizerFast, name)


def _with_special_tokens(tokenizer: Any, ids: Sequence[int]) -> list[int]:
    """`ids` between the special tokens that the tokenizer puts around any text."""
    encoding = tokenizer("a", return_special_tokens_mask=True)
    mask, found = encoding["special_tokens_mask"], encoding["input_ids"]
    first = mask.index(0)
    last = len(mask) - mask[::-1].index(0)
    return [*found[:first], *ids, *found[last:]]


def say_scores_have_no_bounds() -> None:
    """Keep torch 2.13.0 from warning that torch-struct 0.5 states no bounds of a tree's scores."""
    from torch_struct import TreeCRF

    TreeCRF.arg_constraints = {}


def drop_reference(model: Any) -> None:
    """Delete the copy of the adapter from which TRL 1.16.0 measures the KL.

    Without it TRL measures from the model with the adapter off.
    """
    if REFERENCE in model.peft_config:
        model.delete_adapter(REFERENCE)


def without_hint_at_scores(trainer: type) -> None:
    """Keep TRL's warning of an answer without a score out of the log, for a class of trainers.

    An answer without tokens has no score on purpose.
    """
    logging.getLogger(trainer.__module__).addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return NO_SCORE not in record.getMessage()


class Silent:
    """A trainer of TRL that reports to nobody; 1.16.0 reports each run to the hub.

    Its own switch, HF_HUB_DISABLE_TELEMETRY, is read when huggingface_hub is imported.
    """

    def _send_telemetry(self) -> None:
        """Nothing is sent."""


class OwnCheckpoints:
    """A trainer of transformers with checkpoints of its own.

    transformers 5.23.0 writes and reads a checkpoint by these methods, and has no public ones.
    """

    def save_training(self) -> None:
        """Keep all that training goes on from; every process calls it."""
        raise NotImplementedError

    def restore_training(self) -> None:
        """Take up what was kept, if anything was, once model, optimizer and schedule are there."""
        raise NotImplementedError

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        self.save_training()

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """The weights come with the optimizer's state, once that is there."""

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        self.restore_training()

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Every update seeds the generators anew."""


class Answers(Protocol):
    """Token ids of a step's answers and of their prompts, row by row."""

    def prompts(self) -> list[list[int]]: ...
    def completions(self) -> list[list[int]]: ...


class _OnAnswers(Silent):
    """A trainer on answers that are there already; TRL 1.16.0 has no public way in for RLOO."""

    answers: Answers

    def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return self.answers.prompts(), None, {}


class RlooOnAnswers(_OnAnswers):
    """The base class to name before RLOOTrainer."""

    def _generate_single_turn(self, *_: Any) -> list[list[int]]:
        return self.answers.completions()


class GrpoOnAnswers(_OnAnswers):
    """The one before GRPOTrainer, which wants the sampler's log-probabilities too, or None."""

    def _generate_single_turn(self, *_: Any) -> tuple[list[list[int]], None]:
        return self.answers.completions(), None
