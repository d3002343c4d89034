"""How long a model's passes take by the roofline: the slower of its operations and its bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from refine_af.engines.room import SHARED_TEXTS, SHARED_TOKENS, row_bytes, rows_in
from refine_af.forecast.known import Shape
from refine_af.forecast.rates import Rates
from refine_af.models.stored_weights import FOUR_BITS

MARGIN = 128  # engines/batch.py keeps so many columns free
ADMITTED = 8  # and reads new prompts once so many parts of the places are free


def cut_off(mean: float, most: int) -> float:
    """The mean length of texts of which those that go on are cut off after `most` tokens.

    Lengths are taken for exponential about their `mean`: each token is as likely the last.
    """
    return mean * -math.expm1(-most / mean)


@dataclass(frozen=True)
class Asked:
    """Texts that are written in rounds: how many in all and in a round, and how long they are.

    In tokens: the prompts' shared `prefix`, what follows it in each, a reply as it is expected
    without a limit, and its limit `most`.
    """

    requests: float
    round_size: int
    prefix: float
    tail: float
    reply: float
    most: int

    @property
    def shared(self) -> float:
        """Tokens of the prefix that are held, and read in a step, once for all texts."""
        together = min(self.requests, self.round_size) >= SHARED_TEXTS
        return self.prefix if together and self.prefix >= SHARED_TOKENS else 0.0

    @property
    def own(self) -> float:
        """Tokens of a prompt that each text holds for itself."""
        return self.prefix - self.shared + self.tail


@dataclass(frozen=True)
class Passes:
    """A model as it is loaded on a machine."""

    rates: Rates
    shape: Shape
    quantization: str

    @property
    def itemsize(self) -> int:
        """Bytes of a number: bfloat16 on a GPU, float32 on a CPU."""
        return 2 if self.rates.gpu else 4

    @property
    def weights(self) -> float:
        """Bytes that the weights take."""
        small = self.shape.counts.four_bits if self.quantization == "nf4" else 0
        return small * FOUR_BITS + (self.shape.counts.weights - small) * self.itemsize

    @property
    def read_weights(self) -> float:
        """Bytes of weights that a pass reads. Of 4 bits it writes each weight in full precision
        first, and reads that: bitsandbytes multiplies by a copy (functional.dequantize_4bit).
        """
        again = self.shape.counts.four_bits if self.quantization == "nf4" else 0
        return self.weights + 2 * again * self.itemsize

    def operations(self, tokens: float, context: float, predicted: float) -> float:
        """Of a pass forward over tokens that see `context` others each; `predicted` have logits."""
        shape = self.shape
        attention = 4 * shape.layers * shape.query * context
        return tokens * (2 * shape.passed + attention) + 2 * shape.head * predicted

    def read(self, passes: float, tokens: float, context: float, predicted: float = 0) -> float:
        """Seconds of passes that read so many tokens in all."""
        work = self.operations(tokens, context, predicted) / self.rates.reading
        moved = passes * self.read_weights / self.rates.bandwidth
        return passes * self.shape.layers * self.rates.layer_s + max(work, moved)

    def row(self, asked: Asked) -> int:
        """Bytes that a text takes while it is written."""
        length, shape = round(asked.own + asked.most) + MARGIN, self.shape
        return row_bytes(shape.layers, shape.keys, self.itemsize, length, shape.vocabulary)

    def places(self, asked: Asked) -> int:
        """How many texts are written side by side."""
        rates = self.rates
        memory = rates.memory - asked.shared * self._token_bytes()
        fitting = rows_in(memory, self.weights, self.row(asked), gpu=rates.gpu)
        return max(1, min(fitting, asked.round_size, round(asked.requests)))

    def texts(self, asked: Asked) -> float:
        """Bytes of all texts that are written side by side, and of what they share."""
        return self.places(asked) * self.row(asked) + asked.shared * self._token_bytes()

    def write(self, asked: Asked) -> float:
        """Seconds that texts take. A round lasts until its longest reply, taken to be as long as
        replies may be, has ended; until then every place is given on.
        """
        places, reply = self.places(asked), cut_off(asked.reply, asked.most)
        rounds = asked.requests / min(asked.round_size, max(1.0, asked.requests))
        steps = rounds * asked.most
        steps += max(0.0, asked.requests - rounds * places) * reply / places
        rows = asked.requests * reply / steps  # in a step, on average
        seen = asked.prefix + asked.tail + asked.most / 2  # columns up to the longest text's end
        work = self.operations(rows, seen, rows) / self.rates.reading
        held = asked.shared + rows * (seen - asked.shared)
        moved = (self.read_weights + held * self._token_bytes()) / self.rates.bandwidth
        step = self.shape.layers * self.rates.layer_s + max(work, moved)
        admissions = rounds + max(0.0, asked.requests - rounds * places) * ADMITTED / places
        tails = asked.requests * asked.tail
        prompts = self.read(admissions, tails, asked.prefix + asked.tail / 2, asked.requests)
        prefixes = self.read(rounds, rounds * asked.prefix, asked.prefix / 2)
        return steps * step + prompts + (prefixes if asked.prefix else 0.0)

    def _token_bytes(self) -> float:
        """Bytes that are read of a token of the context in a step. Keys that heads share are read
        once: of a single token transformers packs the queries (sdpa_attention.py, `pack_gqa`).
        """
        return 2 * self.shape.layers * self.shape.keys * self.itemsize

    def train(
        self,
        passes: float,
        tokens: float,
        context: float,
        predicted: float,
        *,
        recomputed: bool,
        full: bool = False,
    ) -> float:
        """Seconds of passes forward and back over so many tokens in all.

        The way back costs as much as the way forward, and again where weights themselves have
        gradients (`full`), and again where layers are `recomputed`.
        """
        times = 2 + recomputed + full
        work = times * self.operations(tokens, context, predicted) / self.rates.training
        moved = passes * (2 + recomputed) * self.read_weights / self.rates.bandwidth
        layers = passes * self.shape.layers
        started = layers * (self.rates.trained_layer_s + recomputed * self.rates.layer_s)
        return started + max(work, moved)
