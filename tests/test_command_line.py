"""Flags come from signatures; a wrong one is refused in one message."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from refine_af.errors import InputError
from refine_af.jobs.command_line import run
from refine_af.jobs.flags import FLAGS
from refine_af.settings.ppo import Kl
from tiny import ROOT

KL = '{"coefficient": 0.2, "adaptive": true, "target": 6.0, "horizon": 10000.0}'


def test_every_kind_of_flag(capsys: pytest.CaptureFixture[str]) -> None:
    def main(
        *, settings: Kl, size: int, adapter: Path | None, inputs: list[Path], method: str
    ) -> None:
        print(settings.coefficient, size, adapter, inputs, method)

    flags = ["--settings", KL, "--size", "5", "--inputs", "a", "b", "--method", "refine-af"]
    run(main, arguments=[*flags, "--adapter"])
    run(main, arguments=[*flags, "--adapter", "folder"])
    first, second = capsys.readouterr().out.splitlines()
    assert first == "0.2 5 None [PosixPath('a'), PosixPath('b')] refine-af"
    assert second.split()[2] == "folder"


@pytest.mark.parametrize(("said", "meant"), [("true", True), ("false", False), ("True", True)])
def test_a_flag_that_is_true_or_false(said: str, meant: bool) -> None:
    heard = []

    def main(*, chat: bool) -> None:
        heard.append(chat)

    run(main, arguments=["--chat", said])
    assert heard == [meant]
    with pytest.raises(SystemExit):
        run(main, arguments=["--chat", "yes"])
    assert heard == [meant]


def test_several_commands_are_chosen_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    def first_step(*, name: str) -> None:
        print("first", name)

    def second(*, name: str) -> None:
        print("second", name)

    run(first_step, second, arguments=["first-step", "--name", "x"])
    assert capsys.readouterr().out == "first x\n"


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        (["--settings", "{"], "JSON"),
        (["--settings", KL.replace("6.0", "-1")], r"target: .* got -1"),
        (["--settings", KL.replace("target", "goal")], r"goal|target"),
        ([], "--settings"),
    ],
)
def test_wrong_flags(flags: list[str], wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    def main(*, settings: Kl) -> None:
        raise AssertionError("must not run")

    with pytest.raises(SystemExit) as caught:
        run(main, arguments=flags)
    assert caught.value.code == 2
    assert re.search(wanted, capsys.readouterr().err)


def test_a_wrong_input_ends_in_one_message() -> None:
    def wrong() -> None:
        raise InputError("seeds.jsonl, line 3: no 'instruction'")

    def missing() -> None:
        open("no/such/file").close()

    with pytest.raises(SystemExit, match=r"^error: seeds.jsonl, line 3: no 'instruction'$"):
        run(wrong, arguments=[])
    with pytest.raises(SystemExit, match=r"^error: no/such/file: No such file or directory$"):
        run(missing, arguments=[])


def commands() -> list[tuple[str, str, list[str]]]:
    """Every script's commands, with their flags, from what `run` is handed at its end."""
    found = []
    for file in sorted((ROOT / "scripts").glob("*.py")):
        tree = ast.parse(file.read_text())
        functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "run":
                for name in map(ast.unparse, node.args):
                    flags = [flag.arg for flag in functions[name].args.kwonlyargs]
                    found.append((file.stem, name, flags))
    return found


def test_every_flag_of_every_script_has_a_sentence() -> None:
    flags = {flag for _, _, named in commands() for flag in named}
    assert len(commands()) > 20 and flags == FLAGS.keys()
    for flag, said in FLAGS.items():
        assert re.fullmatch(r"[A-Z].+\.", said), flag


def test_help_tells_a_flag_in_its_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    def main(*, settings: Kl, size: int) -> None:
        raise AssertionError("must not run")

    with pytest.raises(SystemExit) as caught:
        run(main, arguments=["--help"])
    assert caught.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "--settings JSON The stage's section of config.yaml as JSON." in told
    assert f"--size SIZE {FLAGS['size']}" in told
