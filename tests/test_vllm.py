"""vLLM completes what our engine completes, word for word, when a job starts it: `make servers`.

REFINE_AF_VLLM names the folder of an environment with it (`make vllm`), REFINE_AF_MODEL that of a
real model, REFINE_AF_MIRROR that of the real data. Greedy, in 32 bits: what is drawn differs.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

import instances_replies
import instructions as stage1
import superni_replies
import users
from refine_af.engines import choice
from refine_af.files.documents import read_document
from refine_af.files.rows import write_records
from refine_af.settings.lora import Lora
from refine_af.settings.servers import Served, Server
from refine_af.superni.tasks import task_instances
from refine_af.workflow.configuration import read_configuration, read_experiment
from test_instances import write_pool
from tiny import ROOT

NAMES = ("REFINE_AF_VLLM", "REFINE_AF_MODEL", "REFINE_AF_MIRROR")
VLLM, MODEL, MIRROR = (Path(os.environ.get(name) or "/none") for name in NAMES)
LACKING = [name for name in NAMES if not Path(os.environ.get(name) or "/none").is_dir()]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(LACKING), reason=f"{', '.join(LACKING)} name no folder: make servers"),
]
POOL = [
    "List the four seasons of the year.",
    "Explain why the sky is blue in one sentence.",
    "Write a short thank-you note to a teacher.",
    "Name three animals that live in the sea.",
]
SHOWN = """Come up with an example for each task.

Task: Which of two numbers is greater?
Input: 3 and 8
Output: 8

Task: Turn the sentence into a question.
Input: The train is late.
Output: Is the train late?"""
EXPERIMENT = read_experiment(read_configuration(ROOT / "config.yaml").values)
PROMPTS = ROOT / "resources" / "prompts"
EXAMPLE = ROOT / "examples" / "own-server" / "config.yaml"

Stage = tuple[Callable[..., None], dict[str, Any], list[Path]]


def vllm() -> Server:
    """The example's, which answers a round in waves, so that a kill comes before its last reply."""
    (server,) = read_experiment(read_configuration(EXAMPLE)).servers.values()
    assert server.start is not None
    start = server.start.model_copy(update={"environment": str(VLLM)})
    return server.model_copy(update={"start": start, "model": "smol", "concurrency": 3})


def greedily(section: Any, **changes: Any) -> Any:
    """A stage's section, with a greedy sampling where it has one."""
    told = section.model_dump(mode="json") | {"quantization": "none"} | changes
    if "sampling" in told:
        told["sampling"] |= {"temperature": 0.0, "presence_penalty": 0.0, "max_new_tokens": 48}
    return type(section).model_validate(told)


@pytest.fixture(scope="session")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two adapters of rank 16 on all linear layers, as the stages save them, each its own words."""
    import torch

    from refine_af.models.backbones import load_backbone
    from refine_af.models.lora import save_lora, with_lora

    made = []
    for seed in (1, 2):
        model = load_backbone(MODEL, quantization="none", adapter=None)
        tuned = with_lora(
            model, Lora(r=16, alpha=32, dropout=0.0, targets="all-linear"), seed=seed, section="x"
        )
        draw = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, weights in tuned.named_parameters():
                if "lora_B" in name:
                    weights.copy_(0.01 * torch.randn(weights.shape, generator=draw))
        folder = tmp_path_factory.mktemp("tuned") / "adapter"
        save_lora(tuned, folder)
        made.append(folder)
    return made


def stage_1(out: Path, adapter: Path | None) -> Stage:
    sizes = {"segment_size": 4, "prompts_per_round": 8, "end_after_similar": None}
    given = {
        "settings": greedily(EXPERIMENT.instructions, **sizes),
        "watch": EXPERIMENT.watch.instructions,
        "seeds": MIRROR / "seed_tasks.jsonl",
        "prompt": PROMPTS / "instructions.txt",
        "earlier": [],
        "number": 0,
        "segment": out / "segment",
    }
    names = ("instructions.jsonl", "rejected.jsonl", "rounds.csv")
    return stage1.segment, given, [out / "segment" / name for name in names]


def instances(out: Path, adapter: Path | None) -> Stage:
    prompt = out / "prompt.txt"
    prompt.write_text(f"{SHOWN}\n\nTask: {{instruction}}\n")
    given = {
        "settings": greedily(
            EXPERIMENT.instances, prompts_per_round=len(POOL), classification=None
        ),
        "watch": EXPERIMENT.watch.instances,
        "method": "refine-af" if adapter else "self-instruct",
        "ppo": adapter.parent if adapter else None,
        "instructions": write_pool(out / "pool", POOL),
        "prompt": prompt,
        "output_first": None,
        "kinds": None,
        "rounds": [0],
        "replies": [out / "0.jsonl"],
    }
    return instances_replies.main, given, [out / "0.jsonl"]


def superni(out: Path, adapter: Path | None) -> Stage:
    rows = []
    for path in sorted((MIRROR / "superni" / "tasks").glob("task*.json")):
        rows += task_instances(read_document(path), task=path.stem, limit=3, path=path)
    write_records(out / "instances.jsonl", rows)
    given = {
        "settings": greedily(EXPERIMENT.superni, max_new_tokens=32),
        "cell": "refine-af_4" if adapter else "base",
        "prompt": PROMPTS / "superni.txt",
        "adapter": adapter,
        "instances": out / "instances.jsonl",
        "parts": [0],
        "of": 1,
        "predictions": [out / "0.jsonl"],
    }
    return superni_replies.replies, given, [out / "0.jsonl"]


def of_users(out: Path, adapter: Path | None) -> Stage:
    lines = (MIRROR / "user_oriented_instructions.jsonl").read_text().split("\n")[:8]
    (out / "users.jsonl").write_text("".join(f"{line}\n" for line in lines))
    given = {
        "settings": greedily(EXPERIMENT.users, max_new_tokens=48),
        "model": "smol",
        "cell": "refine-af_4" if adapter else "base",
        "prompts": ROOT / EXPERIMENT.prompts.users,
        "adapter": adapter,
        "instructions": out / "users.jsonl",
        "predictions": out / "0.jsonl",
    }
    return users.predictions, given, [out / "0.jsonl"]


STAGES: dict[str, tuple[Callable[[Path, Path | None], Stage], int | None]] = {
    "stage 1": (stage_1, None),
    "stage 3, self-instruct": (instances, None),
    "stage 3, one adapter": (instances, 0),
    "stage 3, another adapter": (instances, 1),
    "Super-NI, base": (superni, None),
    "Super-NI, a cell": (superni, 1),
    "users, a cell": (of_users, 0),
}
KILLED = {"stage 1", "Super-NI, a cell"}


def kill_in_the_middle(place: Path, over: threading.Event, killed: list[int]) -> None:
    """Kill the server once, with all below it, when two replies are kept."""
    while not over.wait(0.05):
        logs = place.glob("kept/**/replies.jsonl")
        if any(log.read_text().count("\n") >= 2 for log in logs):
            below = psutil.Process().children()
            (guard,) = [each for each in below if "keeper.py" in " ".join(each.cmdline())]
            (keeper,) = guard.children()
            for process in keeper.children(recursive=True):
                process.kill()
                killed.append(process.pid)
            return


@pytest.mark.parametrize("name", STAGES)
def test_vllm_says_what_our_engine_says_word_for_word(
    name: str,
    adapters: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And nothing of it runs on afterwards; where it is killed in between, it is started again."""
    stage, number = STAGES[name]
    adapter = None if number is None else adapters[number]
    monkeypatch.setattr(choice, "log_beside", partial(Path, tmp_path / "server.log"))
    served = Served(model="smol" if adapter is None else "smol-tuned")
    by: dict[str, dict[str, Any]] = {
        "transformers": {"server": None, "served": None},
        "server": {"server": vllm(), "served": served},
    }
    made, seconds, killed = {}, {}, list[int]()
    for engine, flags in by.items():
        out = tmp_path / engine
        out.mkdir()
        main, given, files = stage(out, adapter)
        common = {"chat": False, "backbone": MODEL, "progress": out / "kept"}
        settings = given["settings"].model_copy(update={"engine": engine})
        over = threading.Event()
        watch = threading.Thread(target=kill_in_the_middle, args=(out, over, killed))
        if engine == "server" and name in KILLED:
            watch.start()
        began = time.monotonic()
        try:
            main(**given | common | flags | {"settings": settings})
        finally:
            over.set()
        seconds[engine] = time.monotonic() - began
        made[engine] = [path.read_text() for path in files]
    said = (tmp_path / "server.log").read_text()
    tell(name, made["server"], seconds, said.count("started once more"))
    assert bool(killed) == (name in KILLED) == ("started once more" in said)
    assert made["server"] == made["transformers"]
    assert not psutil.Process().children()


def tell(name: str, files: list[str], seconds: dict[str, float], restarts: int) -> None:
    """Say what was compared, and how long each engine took with its loading."""
    row = {"stage": name, "bytes": sum(map(len, files)), "lines": files[0].count("\n")}
    times = {engine: round(taken, 1) for engine, taken in seconds.items()}
    print(json.dumps(row | {"restarts": restarts, "seconds": times}), flush=True)
