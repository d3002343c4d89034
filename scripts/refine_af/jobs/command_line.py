"""Command lines from signatures: a stage's keyword-only parameters are its flags."""

from __future__ import annotations

import argparse
import inspect
import io
import json
import signal
import sys
import types
import typing
from collections.abc import Callable

from pydantic import ValidationError

from refine_af.errors import InputError, shown
from refine_af.jobs.flags import FLAGS
from refine_af.jobs.record import now, tell, tell_start
from refine_af.settings.fields import Section

Command = Callable[..., None]


def run(*commands: Command, arguments: list[str] | None = None) -> None:
    """Run the one command with the flags given, or the one of several that the first word names.

    Every flag is required. One that may be None may stand without a value, `list[Path]` takes any
    number of values, a Section takes its JSON, a bool true or false. A wrong input ends the process
    with one message and status 1.
    """
    parser = argparse.ArgumentParser(
        description=inspect.getdoc(sys.modules[commands[0].__module__]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    if len(commands) == 1:
        _add_flags(parser, commands[0])
    else:
        choices = parser.add_subparsers(required=True, metavar="COMMAND")
        for command in commands:
            name = command.__name__.replace("_", "-")
            summary = (inspect.getdoc(command) or "").partition("\n")[0]
            _add_flags(choices.add_parser(name, help=summary, description=summary), command)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a log in ASCII must not end the job
            stream.reconfigure(errors="backslashreplace")
    began, given = now(), vars(parser.parse_args(arguments))
    command = given.pop("command")
    # A terminated job unwinds like an interrupted one, so that half-written files are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    tell_start(began)
    try:
        command(**given)
        tell(began)
    except InputError as error:
        sys.exit(f"error: {error}")
    except MemoryError:
        sys.exit("error: out of memory")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(f"error: {where}{error.strerror or error}")


def _add_flags(parser: argparse.ArgumentParser, command: Command) -> None:
    hints = typing.get_type_hints(command)
    for name in inspect.signature(command).parameters:
        hint = hints[name]
        flag = "--" + name.replace("_", "-")
        told: dict[str, typing.Any] = {"required": True, "dest": name, "help": FLAGS.get(name)}
        if typing.get_origin(hint) in (types.UnionType, typing.Union):
            inner = next(part for part in typing.get_args(hint) if part is not type(None))
            parser.add_argument(flag, nargs="?", type=_reader(inner), **told)
        elif typing.get_origin(hint) is list:
            inner = typing.get_args(hint)[0]
            parser.add_argument(flag, nargs="*", type=inner, **told)
        else:
            metavar = "JSON" if issubclass(hint, Section) else None
            parser.add_argument(flag, type=_reader(hint), metavar=metavar, **told)
    parser.set_defaults(command=command)


def _reader(hint: type) -> Callable[[str], object]:
    if hint is bool:
        return _said
    return _section(hint) if issubclass(hint, Section) else hint


def _said(text: str) -> bool:
    said = text.lower()
    if said not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"true or false, not {shown(text)}")
    return said == "true"


def _section(kind: type[Section]) -> Callable[[str], Section]:
    def parse(text: str) -> Section:
        try:
            return kind.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"])) or "JSON"
            raise argparse.ArgumentTypeError(
                f"{key}: {first['msg']}; got {shown(first['input'])}"
            ) from None

    return parse


def canonical(section: Section) -> str:
    """A section as one line of JSON: the same text for the same values, whatever their order."""
    return json.dumps(section.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
