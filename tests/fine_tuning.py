"""What the tests of fine-tuning share: settings, instances, and the stage's arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from refine_af.files.rows import write_records
from refine_af.records.instances import Instance
from refine_af.settings.compute import SftMachine
from refine_af.settings.sft import Sft
from refine_af.settings.subsets import Subsets
from tiny import ROOT

PAPER = ROOT / "resources" / "prompts" / "sft.json"
FIXED = ROOT / "resources" / "prompts" / "sft_fixed.json"
DEMO = ROOT / "demo" / "prompts" / "sft.json"
LORA = {"r": 8, "alpha": 16, "dropout": 0.0, "targets": "all-linear"}
PREFIX = Subsets(count="instructions", order="prefix", pool=1, seed=0)
COMPUTE = SftMachine(
    threads=1,
    mem_mb=2000,
    runtime=10,
    gpus=1,
    checkpoint_every=2,
    micro_batch=2,
    gradient_checkpointing=False,
)


def settings(**changes: object) -> Sft:
    section = yaml.safe_load((ROOT / "config.yaml").read_text())["sft"]
    return Sft.model_validate(section | {"quantization": "none", "lora": LORA} | changes)


def instance(number: int, instruction: str = "Sort", text: str = "", output: str = "a") -> Instance:
    pool = f"i{number:06d}"
    scores = {"reward_model": 1.5}
    return Instance(
        f"{pool}-0", pool, "refine-af", instruction, text, output, "0" * 64, 0.1, scores
    )


def segment(folder: Path, rows: list[Instance]) -> Path:
    write_records(folder / "instances.jsonl", rows)
    return folder


def asked(root: Path, backbone: Path, rows: list[Instance], **changes: object) -> dict[str, Any]:
    """The stage's arguments; what it writes stands below `root`."""
    return {
        "settings": settings(**changes),
        "compute": COMPUTE,
        "size": 100,
        "subsets": PREFIX,
        "encodings": DEMO,
        "chat": False,
        "backbone": backbone,
        "instances": [segment(root / "segment", rows)],
        "overlap": [],
        "seeds": [],
        "report_to": [],
        "curves": root / "curves",
        "progress": root / "kept",
        "adapter": root / "adapter",
    }


def flags(arguments: dict[str, Any]) -> list[object]:
    """The same as a command line's flags."""
    given: list[object] = []
    for name, value in arguments.items():
        values = value if isinstance(value, list) else [value]
        if name in ("settings", "compute", "subsets"):
            values = [value.model_dump_json()]
        given += [f"--{name.replace('_', '-')}", *values]
    return given


def contents(folder: Path) -> dict[str, bytes]:
    """All that must be the same in every run: seconds are not."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "timing.csv"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
