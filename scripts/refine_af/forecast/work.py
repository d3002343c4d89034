"""What the jobs of a model have to do, and how long each takes under some assumptions."""

from __future__ import annotations

import math
from dataclasses import dataclass

from refine_af.forecast.assumptions import Assumptions
from refine_af.forecast.known import Shape
from refine_af.forecast.passes import Asked, Passes, cut_off
from refine_af.forecast.rates import Rates
from refine_af.metrics.decline import Decline
from refine_af.settings.experiment import Experiment

NUMBERING = 5  # tokens of "Task 12:" and a line's end
QUESTIONS = 3  # that the evaluator answers of an instance
QUESTION = 25  # tokens of one
JUDGED = 8  # texts that a judge reads at once
JUDGE_LAYERS = 24  # of a judge: those of table I both have so many, one of them twice


@dataclass(frozen=True)
class Beside:
    """What stands beside the backbone: characters of prompts, counts of what is evaluated, the
    weights of reward model and evaluator, and the bytes of their files.
    """

    instructions_prompt: int
    classification_prompt: int
    instances_prompt: int
    evaluated: int
    users: int
    reward_model: float
    evaluator: float
    judges_stored: float


class Work:
    """A model's jobs. Each method gives the seconds of one job."""

    def __init__(
        self,
        experiment: Experiment,
        shape: Shape,
        beside: Beside,
        rates: Rates,
        assumed: Assumptions,
    ) -> None:
        self._whole, self._shape, self._beside = experiment, shape, beside
        self._rates, self._assumed = rates, assumed
        self._reply = cut_off(assumed.instance, experiment.ppo.sampling.max_new_tokens)
        self._tail = assumed.instruction + NUMBERING
        self._prefix = beside.instances_prompt / assumed.characters

    def _on(self, quantization: str) -> Passes:
        return Passes(self._rates, self._shape, quantization)

    def _start(self, judges: bool = False) -> float:
        stored = self._shape.stored + (self._beside.judges_stored if judges else 0.0)
        return self._rates.start_s + stored / self._rates.disk

    def asked(self, segment: int) -> float:
        """How many replies a segment of the pool needs, by the decline of the yield."""
        size, assumed = self._whole.instructions.segment_size, self._assumed
        decline = Decline(0.0, assumed.accepted, math.log(2) / assumed.halves_with)
        return decline.asked(segment * size, (segment + 1) * size)

    def instructions(self, segment: int) -> float:
        """Stage 1: a segment of the pool."""
        settings = self._whole.instructions
        shown = settings.human_demonstrations + settings.machine_demonstrations
        round_size = settings.prompts_per_round
        rounds = math.ceil(self.asked(segment) / round_size)  # none is left half asked
        asked = Asked(
            requests=rounds * round_size,
            round_size=round_size,
            prefix=self._beside.instructions_prompt / self._assumed.characters,
            tail=shown * self._tail,
            reply=self._assumed.task_list,
            most=settings.sampling.max_new_tokens,
        )
        return self._start() + self._on(settings.quantization).write(asked)

    def _instances(self, requests: float, round_size: int, most: int) -> Asked:
        return Asked(requests, round_size, self._prefix, self._tail, self._assumed.instance, most)

    def _scores(self, replies: float) -> float:
        """Seconds in which the judges, or the backbone itself, score what so many replies hold."""
        reply, reward = self._reply, self._whole.reward
        texts = replies * self._assumed.kept
        if reward.likelihood is not None and reward.model is None:
            own, read = self._on(reward.likelihood.quantization), texts * (self._tail + 2 * reply)
            return own.read(2 * texts / JUDGED, read, 0, 2 * texts * reply)  # with its task, alone
        asked = texts * (QUESTIONS * (reply + QUESTION) + self._tail)
        work = self._beside.evaluator * asked
        work += self._beside.reward_model * texts * (self._tail + reply)
        passes = texts * (QUESTIONS + 1) / JUDGED
        return passes * JUDGE_LAYERS * self._rates.layer_s + 2 * work / self._rates.judging

    def ppo(self) -> float:
        """Stage 2: a training."""
        settings = self._whole.ppo
        on, most = self._on(settings.quantization), settings.sampling.max_new_tokens
        rollouts = self._instances(settings.rollouts, settings.rollouts, most)
        evaluated = self._instances(settings.evaluation_prompts, settings.evaluation_prompts, most)
        fixed = on.write(evaluated) + self._scores(settings.evaluation_prompts)
        step = on.write(rollouts) + self._scores(settings.rollouts) + self._learned(on)
        return self._start(judges=True) + settings.steps * step + 2 * fixed

    def _learned(self, on: Passes) -> float:
        """Seconds of a step of PPO without its replies and rewards."""
        settings, rows = self._whole.ppo, self._whole.ppo.rollouts
        answered = rows * self._reply
        tokens, context = rows * (self._tail + self._reply), self._prefix + self._reply
        known = on.read(2 * rows / settings.batch_size, 2 * tokens, context, 2 * answered)
        known += on.read(1, self._prefix, self._prefix / 2)
        updates = rows / (settings.batch_size * settings.gradient_accumulation_steps)
        recomputed = self._whole.compute.ppo.gradient_checkpointing
        update = on.train(
            rows / settings.batch_size, tokens, context, answered, recomputed=recomputed
        )
        update += on.train(
            updates, updates * self._prefix, self._prefix / 2, 0, recomputed=recomputed
        )
        return known + settings.epochs * update

    def kinds(self) -> float:
        """Stage 3: which instructions of a segment are classification tasks."""
        settings, branch = self._whole.instances, self._whole.instances.classification
        most = branch.identification.max_new_tokens if branch else 0
        asked = Asked(
            requests=self._whole.instructions.segment_size,
            round_size=settings.prompts_per_round,
            prefix=self._beside.classification_prompt / self._assumed.characters,
            tail=self._tail,
            reply=most,
            most=most,
        )
        return self._start() + self._on(settings.quantization).write(asked)

    def replies(self) -> float:
        """Stage 3: a job of a segment's replies by one method."""
        settings = self._whole.instances
        count = self._whole.instructions.segment_size / self._whole.compute.instances.shards
        asked = self._instances(count, settings.prompts_per_round, settings.sampling.max_new_tokens)
        return self._start() + self._on(settings.quantization).write(asked)

    def scores(self) -> float:
        """Stage 3: a segment's instances, scored."""
        count = self._whole.instructions.segment_size * self._whole.instances.per_instruction
        stored = self._beside.judges_stored / self._rates.disk
        return self._rates.start_s + stored + self._scores(count)

    def tuning(self, size: int) -> float:
        """Fine-tuning: a cell of `size`."""
        settings, compute = self._whole.sft, self._whole.compute.sft
        rows: float = size * settings.epochs
        if self._whole.subsets.count == "instructions":
            rows *= self._whole.instances.per_instruction * self._assumed.kept
        most = self._whole.instances.sampling.max_new_tokens
        length = self._tail + cut_off(self._assumed.instance, most)
        full = settings.tuning == "full"
        update = settings.batch_size * settings.gradient_accumulation_steps
        seconds = self._on(settings.quantization).train(
            rows / min(compute.micro_batch, update),
            rows * length,
            length / 2,
            rows * length,
            recomputed=compute.gradient_checkpointing,
            full=full,
        )
        # Clipping and Adam start about as many kernels as the way forward and back.
        seconds += rows / update * self._shape.layers * self._rates.trained_layer_s
        return self._start() + seconds / compute.gpus

    def evaluation(self) -> float:
        """Super-NI: a job of a cell's predictions."""
        settings = self._whole.superni
        asked = Asked(
            requests=self._beside.evaluated / self._whole.compute.superni.shards,
            round_size=settings.prompts_per_round,
            prefix=0,
            tail=min(self._assumed.evaluated, settings.max_source_tokens),
            reply=self._assumed.prediction,
            most=settings.max_new_tokens,
        )
        return self._start() + self._on(settings.quantization).write(asked)

    def answers(self) -> float:
        """The user-oriented instructions, answered by one cell."""
        settings = self._whole.users
        asked = Asked(
            requests=self._beside.users,
            round_size=settings.prompts_per_round,
            prefix=0,
            tail=3 * self._tail,
            reply=self._assumed.answer,
            most=settings.max_new_tokens,
        )
        return self._start() + self._on(settings.quantization).write(asked)
