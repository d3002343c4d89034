"""Which stages ask servers, as the rules ask for it: for which name, where, and with which GPUs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from refine_af.jobs.command_line import canonical
from refine_af.records.cells import method_and_replicate, replicated, served_as
from refine_af.settings.experiment import GENERATING, Experiment
from refine_af.settings.servers import Served, Server

Asked = str | list[str]  # a flag's value; an empty list is none


def asking(experiment: Experiment) -> list[str]:
    """The stages whose prompts a server completes."""
    return [stage for stage in GENERATING if getattr(experiment, stage).engine == "server"]


class ServersPlan:
    """Empty in every answer for a stage whose engine is the backbone in the job."""

    def __init__(self, experiment: Experiment, located: Callable[[str], str]) -> None:
        self._located, self._servers, self._asking = located, experiment.servers, asking(experiment)
        self._baselines = experiment.superni.baselines

    def gpus(self, stage: str) -> Callable[[Any], int]:
        """The GPUs of a job: none where a server has the backbone that runs already."""
        asks = stage in self._asking
        return lambda wildcards: 0 if asks and self._servers[wildcards.model].url else 1

    def server(self, stage: str) -> Callable[[Any, int], Asked]:
        """Where the model's server is reached, or how it is started, which decides no reply."""

        def reached(wildcards: Any, threads: int) -> Asked:
            asks = stage in self._asking
            return canonical(self._placed(self._servers[wildcards.model])) if asks else []

        return reached

    def _placed(self, server: Server) -> Server:
        """A server whose environment stands where the project's files do."""
        if server.start is None or server.start.environment is None:
            return server
        place = {"environment": self._located(server.start.environment)}
        return server.model_copy(update={"start": server.start.model_copy(update=place)})

    def backbone(self, stage: str) -> Callable[[Any], Asked]:
        """What decides the replies of a server that is asked for the backbone itself."""
        return self._served(stage, lambda wildcards: "")

    def writer(self, stage: str) -> Callable[[Any], Asked]:
        """The same of one that is asked for a data set's writer: for refine-af PPO's adapter."""

        def taught(wildcards: Any) -> str:
            method, number = method_and_replicate(wildcards.method)
            return replicated("ppo", number) if method == "refine-af" else ""

        return self._served(stage, taught)

    def cell(self, stage: str) -> Callable[[Any], Asked]:
        """The same of one that is asked for a cell."""

        def tuned(wildcards: Any) -> str:
            return "" if wildcards.cell in self._baselines else str(wildcards.cell)

        return self._served(stage, tuned)

    def _served(self, stage: str, adapter: Callable[[Any], str]) -> Callable[[Any], Asked]:
        def decides(wildcards: Any) -> Asked:
            if stage not in self._asking:
                return []
            server = self._servers[wildcards.model]
            kept = {name: getattr(server, name) for name in Served.model_fields}
            return canonical(
                Served(**kept | {"model": served_as(server.model, adapter(wildcards))})
            )

        return decides
