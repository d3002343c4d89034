"""What completes the prompts of a stage: the backbone in its job, or a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from refine_af.engines.local import LocalEngine, model_of
from refine_af.engines.own_server import StartedEngine, log_beside, to_serve
from refine_af.engines.replies import Engine
from refine_af.errors import InputError
from refine_af.jobs.serving import Endpoint, at_address, serving
from refine_af.settings.sampling import Sampling
from refine_af.settings.servers import Generating, Served, Server

Engines = Callable[[Sampling], Engine]


@dataclass(frozen=True)
class Completer:
    """A backbone, what it was tuned to or None, and the form in which it is asked.

    `chat` says whether a prompt is put through the tokenizer's chat template, as one turn, and
    `end_of_text` whether that token ends a reply. A server is reached by `server` and asked for
    `served`; both are None where the backbone is in the job.
    """

    backbone: Path
    adapter: Path | None
    server: Server | None
    served: Served | None
    chat: bool
    end_of_text: bool = True

    @property
    def stamped(self) -> str | None:
        """What of a server decides the replies, for a stage's stamp."""
        return self.served.model_dump_json() if self.served else None


@contextmanager
def engines_of(settings: Generating, completer: Completer) -> Iterator[Engines]:
    """By how a reply is drawn, the engine of the settings; all of them share one model or server.

    A server that the job starts is started at the first call of an engine, and ends with the block.
    InputError where the settings ask for a server and none is named, or the other way round.
    """
    asked = settings.engine == "server"
    if {completer.server is not None, completer.served is not None} != {asked}:
        raise InputError(
            f"engine {settings.engine}: got --server {completer.server} and --served "
            f"{completer.served}; server needs both, transformers takes neither"
        )
    with ExitStack() as lives:
        if completer.server and completer.served:
            yield cache(_served(completer, completer.server, completer.served, lives))
            return
        load = cache(model_of(completer.backbone, completer.adapter, settings.quantization))
        chat, end_of_text = completer.chat, completer.end_of_text
        yield cache(lambda drawn: LocalEngine(load, drawn, chat=chat, end_of_text=end_of_text))


def _served(completer: Completer, server: Server, served: Served, lives: ExitStack) -> Engines:
    """The engines of a server, which lives no longer than `lives` where it is started."""
    from refine_af.engines.form import form_of
    from refine_af.engines.server import ServerEngine
    from refine_af.engines.server_connection import key_in

    chat, end_of_text = completer.chat, completer.end_of_text
    form = cache(lambda: form_of(completer.backbone, chat=chat, end_of_text=end_of_text))
    if server.start is None:
        return lambda sampling: ServerEngine(at_address(server), served, form, sampling)

    @cache
    def started() -> Endpoint:
        key_in(server.key_variable)  # a key that cannot be is told before minutes of a start
        content = to_serve(completer.backbone, completer.adapter, served.model)
        return lives.enter_context(serving(server, content, log_beside()))

    return lambda sampling: StartedEngine(lambda: ServerEngine(started(), served, form, sampling))
