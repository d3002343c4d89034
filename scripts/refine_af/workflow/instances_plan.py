"""Stage 3 as its rules ask for it: the rounds of a segment, and what its jobs are handed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from refine_af.jobs.command_line import canonical
from refine_af.records.cells import method_and_replicate
from refine_af.settings.experiment import Experiment
from refine_af.settings.instances import Identification

# A param that Snakemake compares with that of the finished job: a difference reruns it.
Tracked = Callable[[Any], str]
# One that it does not compare, since it also depends on the threads that a job is given.
Untracked = Callable[[Any, int], Any]


class InstancesPlan:
    """What the rules of stage 3 ask of an experiment; `located` is the plan's own."""

    def __init__(self, experiment: Experiment, located: Callable[[str], str]) -> None:
        self._section, self._prompts = experiment.instances, experiment.prompts
        self._segment_size = experiment.instructions.segment_size
        self._compute, self._located = experiment.compute.instances, located

    @cached_property
    def rounds(self) -> list[int]:
        """The rounds in which stage 3 asks for the replies of a segment."""
        size = self._section.prompts_per_round
        return list(range(-(-self._segment_size // size)))

    @cached_property
    def shards(self) -> list[int]:
        """The jobs that share a segment's rounds."""
        return list(range(min(self._compute.shards, len(self.rounds))))

    def rounds_of(self, shard: int) -> list[int]:
        """Which rounds of a segment a job of stage 3 takes."""
        return self.rounds[shard :: len(self.shards)]

    def asks_output_first(self, wildcards: Any) -> bool:
        """Whether a method has the branch for classification tasks."""
        branch = self._section.classification
        method, _ = method_and_replicate(wildcards.method)
        return branch is not None and method in branch.methods

    def output_first_prompt(self, wildcards: Any) -> str | list[str]:
        """The prompt of classification tasks, where the method has one for them."""
        asks = self.asks_output_first(wildcards)
        return self._located(self._prompts.output_first) if asks else []

    def section_of_replies(self, wildcards: Any) -> str:
        """Stage 3's section for a method's replies, which do not depend on how many pairs are kept.

        One without the branch for classification tasks depends on nothing of it, and no method on
        what another one does.
        """
        section = self._section
        branch = section.classification if self.asks_output_first(wildcards) else None
        method, _ = method_and_replicate(wildcards.method)
        own = branch and branch.model_copy(update={"methods": (method,)})
        return canonical(section.model_copy(update={"per_instruction": 1, "classification": own}))

    def section_of_pairs(self) -> Tracked:
        """Stage 3's section for the pairs in replies, each of which tells its prompt itself."""
        text = canonical(self._section.model_copy(update={"classification": None}))
        return lambda wildcards: text

    def section_of_kinds(self) -> Tracked:
        """What of stage 3's section decides which instructions are classification tasks."""
        section = self._section
        if section.classification is None:
            return lambda wildcards: ""
        text = canonical(
            Identification(
                engine=section.engine,
                seed=section.seed,
                prompts_per_round=section.prompts_per_round,
                quantization=section.quantization,
                sampling=section.classification.identification,
            )
        )
        return lambda wildcards: text

    def untracked_rounds(self, shard: int) -> Untracked:
        """A job's rounds: how many jobs share them decides no reply."""
        return lambda wildcards, threads: self.rounds_of(shard)
