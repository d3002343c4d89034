"""What the rules ask of a judge behind a server: its prompt, its model, and where it stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from refine_af.jobs.command_line import canonical
from refine_af.settings.experiment import Experiment
from refine_af.settings.servers import Server


def judge_server(experiment: Experiment) -> Server | None:
    """The server of the scorer llm_judge; None where the scorer is another."""
    judge = experiment.reward.llm_judge
    return experiment.servers[judge.server] if judge else None


class JudgePlan:
    """Empty in every answer where the scorer asks no server."""

    def __init__(self, experiment: Experiment, located: Callable[[str], str]) -> None:
        judge = experiment.reward.llm_judge
        self._server = judge_server(experiment)
        self.prompt: str | list[str] = located(judge.prompt) if judge else []

    def model(self, wildcards: Any) -> str:
        """What the server calls the model, which decides the scores."""
        return self._server.model if self._server else ""

    def server(self, wildcards: Any, threads: int) -> str | list[str]:
        """Where it is asked: its address does not count."""
        return canonical(self._server) if self._server else []
