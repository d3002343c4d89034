"""What huge pages give a model on a CPU: CPU seconds of our engine, its weights read from a file.

With weights where the library puts them, or laid together, and with what the Makefile asks of the
allocator, or without: each measurement is a process of its own, and the four ways take turns.
Prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

from ways import ROOT, SHAPES, random_model, timed, word_tokenizer

from refine_af.engines.greedy import greedy
from refine_af.engines.local import LocalEngine
from refine_af.engines.replies import Group
from refine_af.models import backbones, huge_pages

NAME = "GLIBC_TUNABLES"
KERNELS = Path("/sys/kernel/mm/transparent_hugepage/enabled")
PROMPTS = ["Write down", "Name three", "Tell me of", "Explain how"]
WAYS = {  # weights laid together, what the Makefile asks for
    "small": (False, False),
    "huge on the heap (the Makefile's)": (False, True),
    "huge for weights (`models/huge_pages.py`)": (True, False),
    "huge for both": (True, True),
}


def set_by_make() -> dict[str, str]:
    """What the Makefile sets for memory where models run on a CPU."""
    found = re.findall(rf"\b({NAME}|MALLOC_\w+)=(\S+)", (ROOT / "Makefile").read_text())
    assert NAME in dict(found)
    return dict(found)


def seconds(folder: Path, tokens: int, *, together: bool) -> float:
    """CPU seconds of four replies side by side, by weights that are there already."""
    laid = huge_pages.lay_together if together else lambda model: None
    with patch.object(backbones, "lay_together", laid):
        model = backbones.load_backbone(folder, quantization="none")
    tokenizer = word_tokenizer(PROMPTS, model.config.vocab_size)
    engine = LocalEngine(lambda: (model, tokenizer), greedy(tokens, ()))
    asked = [Group("", PROMPTS)], [0] * len(PROMPTS)
    list(engine(*asked))
    return timed(lambda: list(engine(*asked)))[0]


def measured(folder: Path, tokens: int, *, together: bool, heap: bool) -> float:
    """The seconds of another process."""
    words = ["--tokens", str(tokens), "--here", str(folder), *["--together"] * together]
    environment = os.environ | set_by_make()
    if not heap:
        del environment[NAME]
    done = subprocess.run(
        [sys.executable, __file__, *words],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="110m")
    parser.add_argument("--tokens", type=int, default=32, help="of each of four replies")
    parser.add_argument("--times", type=int, default=5, help="processes of each way")
    parser.add_argument("--here", type=Path, help="measure a folder's model in this process, once")
    parser.add_argument(
        "--together", action="store_true", help="with --here: weights laid together"
    )
    arguments = parser.parse_args()
    if arguments.here:
        print(seconds(arguments.here, arguments.tokens, together=arguments.together))
        return
    backbones.quiet()
    with tempfile.TemporaryDirectory() as folder:
        random_model(arguments.shape).save_pretrained(folder)
        turns = [
            [
                measured(Path(folder), arguments.tokens, together=together, heap=heap)
                for together, heap in WAYS.values()
            ]
            for _ in range(arguments.times)
        ]
    print(f"{arguments.shape}, huge pages of this kernel: {KERNELS.read_text().strip()}\n")
    print("| pages | CPU s, median | least to most | ratio |")
    print("|---|---|---|---|")
    columns = list(zip(*turns, strict=True))
    small = statistics.median(columns[0])
    for name, times in zip(WAYS, columns, strict=True):
        median, spread = statistics.median(times), f"{min(times):.2f} to {max(times):.2f}"
        print(f"| {name} | {median:.2f} | {spread} | {small / median:.2f} |")


if __name__ == "__main__":
    main()
