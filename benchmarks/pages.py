"""What huge pages give a model on a CPU: CPU seconds of our engine with the Makefile's tunable.

Each measurement is a process of its own, with what else the Makefile sets for memory; with the
tunable and without it they take turns. Prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

from ways import ROOT, SHAPES, random_model, timed, word_tokenizer

from refine_af.engines.greedy import greedy
from refine_af.engines.local import LocalEngine
from refine_af.engines.replies import Group

NAME = "GLIBC_TUNABLES"
KERNELS = Path("/sys/kernel/mm/transparent_hugepage/enabled")
PROMPTS = ["Write down", "Name three", "Tell me of", "Explain how"]


def set_by_make() -> dict[str, str]:
    """What the Makefile sets for memory where models run on a CPU."""
    found = re.findall(rf"\b({NAME}|MALLOC_\w+)=(\S+)", (ROOT / "Makefile").read_text())
    assert NAME in dict(found)
    return dict(found)


def seconds(shape: str, tokens: int) -> float:
    """CPU seconds of four replies side by side, by weights that are there already."""
    model = random_model(shape)
    tokenizer = word_tokenizer(PROMPTS, model.config.vocab_size)
    engine = LocalEngine(lambda: (model, tokenizer), greedy(tokens, ()))
    asked = [Group("", PROMPTS)], [0] * len(PROMPTS)
    list(engine(*asked))
    return timed(lambda: list(engine(*asked)))[0]


def measured(arguments: argparse.Namespace, *, huge: bool) -> float:
    """The seconds of another process."""
    words = ["--shape", arguments.shape, "--tokens", str(arguments.tokens), "--here"]
    environment = os.environ | set_by_make()
    if not huge:
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
    parser.add_argument("--times", type=int, default=5, help="processes of each kind")
    parser.add_argument("--here", action="store_true", help="measure in this process, once")
    arguments = parser.parse_args()
    if arguments.here:
        print(seconds(arguments.shape, arguments.tokens))
        return
    turns = [
        [measured(arguments, huge=huge) for huge in (False, True)] for _ in range(arguments.times)
    ]
    usual, huge = map(statistics.median, zip(*turns, strict=True))
    print(f"{arguments.shape}, huge pages of this kernel: {KERNELS.read_text().strip()}\n")
    print("| pages | CPU s, median | least to most | ratio |")
    print("|---|---|---|---|")
    for name, median, column in (("as they are", usual, 0), ("huge", huge, 1)):
        times = [turn[column] for turn in turns]
        spread = f"{min(times):.2f} to {max(times):.2f}"
        print(f"| {name} | {median:.2f} | {spread} | {usual / median:.2f} |")


if __name__ == "__main__":
    main()
