"""Write docs/configuration.md and config.schema.json from the settings and config.yaml."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from refine_af.workflow.reference import page, schema

ROOT = Path(__file__).resolve().parents[1]


def generated() -> dict[Path, str]:
    """What each of the files is to hold."""
    shipped = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    text = json.dumps(schema(), indent=2, ensure_ascii=False)
    return {
        ROOT / "docs" / "configuration.md": page(shipped),
        ROOT / "config.schema.json": f"{text}\n",
    }


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")
