"""A mirror may hold a checkpoint, and what it holds is checked as far as it can be."""

from __future__ import annotations

from pathlib import Path

import pytest

from checkpoint_folders import (
    BIN,
    COMMIT,
    INDEX,
    INDEXED,
    MODEL,
    SAFE,
    SHARDS,
    SMALL,
    command,
    landed,
    write,
)
from fetching import refused, run_fetch, sha256


def note(folder: Path, name: str, digest: str, commit: str = COMMIT) -> None:
    """Write what the hub's client notes beside a file that it downloads to a folder."""
    notes = folder / ".cache" / "huggingface" / "download"
    notes.mkdir(parents=True, exist_ok=True)
    (notes / f"{name}.metadata").write_text(f"{commit}\n{digest}\n1700000000.0\n")


@pytest.mark.parametrize("place", [f"checkpoints/org--model--{COMMIT}", MODEL])
def test_a_mirror_may_hold_the_checkpoint(place: str, tmp_path: Path) -> None:
    source = write(tmp_path / "mirror" / place, {**SAFE, "README.md": b"", "flax.msgpack": b""})
    note(source, "model.safetensors", sha256(SAFE["model.safetensors"]))
    done = run_fetch(*command(tmp_path, mirror=str(tmp_path / "mirror")))
    assert done.returncode == 0, done.stderr
    assert landed(tmp_path) == SAFE


@pytest.mark.parametrize(
    ("files", "notes", "pinned", "said"),
    [
        pytest.param(BIN, {}, {}, ["weights_sha256", "pickle"], id="a pickle without a digest"),
        pytest.param(
            BIN,
            {},
            {MODEL: "0" * 64},
            ["expected " + "0" * 64, "pytorch_model.bin"],
            id="a wrong pin",
        ),
        pytest.param(
            SAFE,
            {"model.safetensors": ("1" * 64, COMMIT)},
            {},
            ["expected " + "1" * 64, "model.safetensors"],
            id="a wrong file",
        ),
        pytest.param(
            SAFE, {"config.json": ("2" * 40, "b" * 40)}, {}, ["b" * 40], id="another commit"
        ),
        pytest.param(SMALL, {}, {}, ["holds no weights"], id="no weights"),
        pytest.param({"config.json": b"{}"}, {}, {}, ["holds no tokenizer"], id="no tokenizer"),
        pytest.param({"tokenizer.json": b""}, {}, {}, ["no config.json"], id="no configuration"),
        pytest.param({**SMALL, **SHARDS}, {}, {}, [f"no {INDEX}"], id="no index"),
        pytest.param(
            {**SMALL, **SHARDS, INDEX: INDEXED},
            {},
            {MODEL: "0" * 64},
            ["2 weight"],
            id="one pin for two",
        ),
    ],
)
def test_a_mirror_with_a_broken_checkpoint_is_refused(
    files: dict[str, bytes],
    notes: dict[str, tuple[str, str]],
    pinned: dict[str, str],
    said: list[str],
    tmp_path: Path,
) -> None:
    source = write(tmp_path / "mirror" / MODEL, files)
    for name, (digest, commit) in notes.items():
        note(source, name, digest, commit)
    mirror = str(tmp_path / "mirror")
    refused(run_fetch(*command(tmp_path, mirror=mirror, weights_sha256=pinned)), *said)
    assert not (tmp_path / "made" / "model").exists()


def test_a_mirror_without_the_checkpoint_says_how_to_fill_it(tmp_path: Path) -> None:
    done = run_fetch(*command(tmp_path, mirror=str(tmp_path)))
    refused(done, "fetch.mirror", str(tmp_path / MODEL), f"--revision {COMMIT}")
    refused(run_fetch(*command(tmp_path, mirror="/no/such")), "fetch.mirror", "'/no/such'")


def test_a_name_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    refused(run_fetch(*command(tmp_path, "main")), "--checkpoint", f"'{MODEL}@main'")
