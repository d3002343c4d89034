"""Parsers out of the archives that their publishers offer: by digest, and nothing leads out."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from zipfile import ZipFile

import pytest

from fake_server import FakeServer, serving
from fetching import refused, run_fetch, settings, sha256

ARCHIVE = "/owner/parsers/releases/small.zip"
BENEPAR = {"small/config.json": "{}", "small/benepar_model.bin": "w", "small/sub/extra": "x"}
# As a wheel of spaCy has it: the package, its metadata, and the pipeline in a folder of its own.
WHEEL = {
    "en_core/__init__.py": "raise SystemExit('never run')",
    "en_core/meta.json": "{}",
    "en_core/en_core-3/meta.json": "{}",
    "en_core/en_core-3/config.cfg": "",
    "en_core/en_core-3/vocab/strings.json": "[]",
    "en_core-3.dist-info/METADATA": "",
}


def zipped(files: Mapping[str, str]) -> bytes:
    content = io.BytesIO()
    with ZipFile(content, "w") as archive:
        archive.mkdir("empty")
        for name, text in files.items():
            archive.writestr(name, text)
    return content.getvalue()


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving() as fake:
        yield fake


def command(tmp_path: Path, address: str, digest: str, **changes: object) -> list[object]:
    pins = {"small": {"url": address + ARCHIVE, "sha256": digest}}
    places = ["--downloads", tmp_path / "downloads", "--folder", tmp_path / "parsers" / "small"]
    section = settings(address, parsers=pins, **changes)
    return ["parser", "--settings", section, "--name", "small", *places]


@pytest.mark.parametrize(
    ("files", "inside"),
    [
        (BENEPAR, {"config.json", "benepar_model.bin", "sub/extra"}),
        ({name.removeprefix("small/"): text for name, text in BENEPAR.items()}, None),
        (WHEEL, {"meta.json", "config.cfg", "vocab/strings.json"}),
    ],
)
def test_the_parser_of_an_archive_lands(
    files: dict[str, str], inside: set[str] | None, server: FakeServer, tmp_path: Path
) -> None:
    server.files[ARCHIVE] = zipped(files)
    done = run_fetch(*command(tmp_path, server.address, sha256(server.files[ARCHIVE])))
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "parsers" / "small"
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert found == (inside or {"config.json", "benepar_model.bin", "sub/extra"})
    assert not list((tmp_path / "downloads").iterdir()), "what has landed is not kept twice"


def test_another_digest_is_told_with_the_key_to_set(server: FakeServer, tmp_path: Path) -> None:
    server.files[ARCHIVE] = zipped(BENEPAR)
    found = sha256(server.files[ARCHIVE])
    done = run_fetch(*command(tmp_path, server.address, "0" * 64))
    refused(done, "small.zip", f"wrong sha256 {found}. If you trust that file")
    assert "state what was found as fetch.parsers.small.sha256" in done.stderr
    assert not (tmp_path / "parsers").exists()

    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "small.zip").write_bytes(server.files[ARCHIVE])
    done = run_fetch(*command(tmp_path, server.address, "0" * 64, mirror=str(mirror)))
    refused(done, f"expected {'0' * 64}, found {found}. If you trust", "fetch.parsers.small.sha256")


def test_a_mirror_may_hold_the_archive(server: FakeServer, tmp_path: Path) -> None:
    place = tmp_path / "mirror" / "releases" / "small.zip"
    place.parent.mkdir(parents=True)
    place.write_bytes(zipped(BENEPAR))
    digest = sha256(place.read_bytes())
    mirror = str(tmp_path / "mirror")
    done = run_fetch(*command(tmp_path, server.address, digest, mirror=mirror))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "parsers" / "small" / "benepar_model.bin").read_text() == "w"
    assert place.exists() and not server.requests


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no zip", "no zip archive that can be read"),
        (zipped({"small/config.json": "{}"}), "not one parser, but neither a parser of benepar"),
        (zipped(BENEPAR | WHEEL), "not one parser, but small, en_core/en_core-3"),
        (zipped(BENEPAR | {"small/../../out": "x"}), "'small/../../out' leads out of the archive"),
        (zipped(BENEPAR | {"/etc/out": "x"}), "'/etc/out' leads out of the archive"),
    ],
)
def test_an_archive_without_one_parser_is_refused(
    content: bytes, said: str, server: FakeServer, tmp_path: Path
) -> None:
    server.files[ARCHIVE] = content
    done = run_fetch(*command(tmp_path, server.address, sha256(content)))
    refused(done, "small.zip", said)
    assert not (tmp_path / "parsers" / "small").exists()
    assert not list(tmp_path.rglob("out"))


def test_a_name_without_pins_is_refused(server: FakeServer, tmp_path: Path) -> None:
    given = command(tmp_path, server.address, "0" * 64)
    given[given.index("small")] = "large"
    refused(run_fetch(*given), "no parser 'large' in fetch.parsers; known are small")
    assert json.loads(str(given[2]))["parsers"]
