"""One YAML file of an experiment: whatever it holds, values or one message with file and line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_af.errors import InputError
from refine_af.workflow.yaml_files import plain_value, read_yaml

REFUSED: dict[str, tuple[str | bytes, int, str]] = {
    "a set, which has no order": ("a: 1\nb: !!set {x, y}\n", 2, "the tag '!!set' is not read"),
    "an ordered map": ("b: !!omap [x: 1]\n", 1, "the tag '!!omap'"),
    "bytes": ("a:\n  - !!binary aGk=\n", 2, "the tag '!!binary'"),
    "an object": ("a: !!python/object:os.system {}\n", 1, "the tag '!!python/object:os.system'"),
    "a tag of one's own": ("a: 1\nb:\n  c: !mine 3\n", 3, "the tag '!mine'"),
    "a tagged date": ("a: !!timestamp 2026-11-28\n", 1, "the tag '!!timestamp'"),
    "no number": ("a: 1\nb: !!int three\n", 2, "'three' cannot be read as int"),
    "no float": ("b: !!float three\n", 1, "'three' cannot be read as float"),
    "neither yes nor no": ("b: !!bool maybe\n", 1, "'maybe' cannot be read as bool"),
    "5000 digits": (f"b:\n  c: {'9' * 5000}\n", 2, "'9999.*…? cannot be read as int"),
    "5000 digits in hex": (f"b:\n  c: 0x{'f' * 5000}\n", 2, "'0xfff.*…? cannot be read as int"),
    "octal": ("a: 1\nb: [010]\n", 2, "010 is read as 8 by one YAML"),
    "minutes": ("b: 1:30\n", 1, "1:30 is read as 90 by one YAML"),
    "minutes with a fraction": ("b: 1:30.5\n", 1, "1:30.5 is read as 90.5 by one YAML"),
    "a merge": ("a: &x {b: 1}\nc:\n  <<: *x\n", 3, "`<<` merges nothing here"),
    "a key twice": ("a: 1\nb: {c: 1,\n c: 2}\n", 3, "the key 'c' stands on line 2 too"),
    "a number as a key": ("a: 1\n2: 3\n", 2, "the key 2 is read as int, no text"),
    "yes as a key": ("on: 3\n", 1, "the key True is read as bool, no text"),
    "a list as a key": ("? [a]\n: 1\n", 1, r"the key \['a'\] is read as list, no text"),
    "half a character": ('a: 1\nb: "\\ud800"\n', 2, r"'\\ud800' holds half a character"),
    "half a character as a key": ('a: 1\n"\\ud800": 3\n', 2, r"'\\ud800' holds half a char"),
    "brackets left open": ("a: [unclosed\nb: 3\n", 2, "expected ',' or ']'"),
    "a tab": ("a:\n\tb: 1\n", 2, "cannot start any token"),
    "a line end of YAML alone": ("a: 1\nb: x\u2028y\n", 2, r"holds U\+2028, .* write \\u2028"),
    "another": ("a: 1\n# x\u0085y\n", 2, r"holds U\+0085, .* write \\u0085"),
    "a control character": ("a: 1\n\nb: '\x0b'\n", 3, r"holds U\+000B, no character of YAML"),
    "a NUL": ("a: 1\n\0", 2, r"holds U\+0000, no character of YAML"),
    "two documents": ("---\na: 1\n---\nb: 1\n", 3, "found another document"),
    "a list": ("# x\n- 1\n", 2, "holds no keys"),
    "a text": ("hello\n", 1, "holds no keys"),
    "nothing": ("", 1, "holds no keys"),
    "comments alone": ("# a: 1\n", 1, "holds no keys"),
    "another encoding": ("a: é\n".encode("latin-1"), 1, "not UTF-8 at byte 3"),
    "UTF-16": ("a: 1\n".encode("utf-16"), 1, "not UTF-8 at byte 0"),
    "UTF-16 without its mark": ("a: 1\n".encode("utf-16-le"), 1, r"holds U\+0000"),
}


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "config.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_told_with_its_line(name: str, tmp_path: Path) -> None:
    text, line, message = REFUSED[name]
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=rf"^{re.escape(str(path))}, line {line}: .*{message}"):
        read_yaml(path)


@pytest.mark.parametrize(
    "text",
    [
        "a: &x [1, *x]\n",
        "a: &x {b: *x}\n",
        # nine in each of nine: 9⁹ values in nine lines
        "".join(
            f"{n}: &{n} [{', '.join([f'*{o}' if o else 'x'] * 9)}]\n"
            for o, n in zip(["", *"abcdefgh"], "abcdefghi", strict=True)
        ),
    ],
    ids=["a list in itself", "a section in itself", "aliases of aliases"],
)
def test_what_has_no_end_is_refused_at_once(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config\.yaml: holds more than 20,000 values, or an al"):
        read_yaml(written(tmp_path, text))


def test_nesting_beyond_reason_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config\.yaml: nested too deeply to be read"):
        read_yaml(written(tmp_path, "a: " + "[" * 100_000))


def test_what_is_meant_as_text_is_one(tmp_path: Path) -> None:
    text = "day: 2026-11-28\n2026-11-28: x\nequal: [=, <<]\nzeros: '010'\ntime: '1:30'\n"
    values, _ = read_yaml(written(tmp_path, text))
    assert values == {
        "day": "2026-11-28",
        "2026-11-28": "x",
        "equal": ["=", "<<"],
        "zeros": "010",
        "time": "1:30",
    }
    assert [plain_value(each) for each in ("2026-11-28", "010", "1:30", "10", "no")] == [
        *("2026-11-28", "010", "1:30", 10),
        False,
    ]


def test_a_mark_and_line_ends_of_windows_change_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, b"\xef\xbb\xbfa: 1\r\nb:\r\n  - x\r\n  - y\r\n")
    values, places = read_yaml(path)
    assert values == {"a": 1, "b": ["x", "y"]}
    lines = {".".join(key): place.rpartition(" ")[2] for key, place in places.items() if key}
    assert lines == {"a": "1", "b": "2", "b.0": "3", "b.1": "4"}
    assert places[()] == str(path)


def test_an_anchor_gives_what_it_names(tmp_path: Path) -> None:
    values, places = read_yaml(written(tmp_path, "a: &x {b: 1}\nc: *x\n"))
    assert values == {"a": {"b": 1}, "c": {"b": 1}}
    assert places["c", "b"].endswith("line 1"), "where the value stands"


@given(
    content=st.binary(max_size=40)
    | st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace"))
)
def test_any_bytes_are_values_or_one_message(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = written(tmp_path_factory.getbasetemp(), content)
    try:
        values, places = read_yaml(path)
    except InputError as error:
        assert str(error).startswith(f"{path}")
    else:
        assert all(isinstance(name, str) and (name,) in places for name in values)
