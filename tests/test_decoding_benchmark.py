"""The benchmark of stage 1's decoding: its measures by hand, and a run on a tiny model."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from statistics import fmean
from types import ModuleType

import pytest
import torch

from forking import run_forked
from refine_af.models.backbones import load_backbone, load_tokenizer
from refine_af.models.encoding import encode
from refine_af.prompts.templates import prompt_of
from refine_af.records.human_tasks import Seed
from refine_af.settings.instructions import Instructions
from test_instructions import demo_settings
from tiny import ROOT

__all__ = ["demo_settings"]
SEEDS = [Seed("a", "Name a river."), Seed("b", "Is it blue?")]


@pytest.fixture(scope="module")
def decoding() -> ModuleType:
    """The program as a module, beside which its own stand."""
    file = ROOT / "benchmarks" / "decoding.py"
    spec = importlib.util.spec_from_file_location("decoding_benchmark", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look up what their annotations name
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(file.parent))
        spec.loader.exec_module(module)
    return module


def test_settings_are_keys_of_stage_1(decoding: ModuleType, demo_settings: Instructions) -> None:
    made = decoding.changed(demo_settings, "top_p=0.9 loop=4 end_after_similar=2 seed=3")
    assert (made.sampling.top_p, made.filter.loop, made.end_after_similar) == (0.9, 4, 2)
    assert decoding.changed(demo_settings, "") == demo_settings
    with pytest.raises(SystemExit, match="top_q=1: stage 1 has no key 'top_q'"):
        decoding.changed(demo_settings, "top_q=1")


def test_measures_by_hand(decoding: ModuleType) -> None:
    assert decoding.distinct_2(["a b a b", "a b"]) == 0.5  # ab, ba of ab, ba, ab, ab
    texts = ["Name it.", "So what?", "Go on.", "..."]
    assert decoding.human_share(texts, SEEDS) == 0.5
    made = decoding.Grown(
        setting="top_p=1.0",
        seconds=4.0,
        pools=[0, 20, 30, 35],
        accepted=[20, 10, 5, 0],
        items=70,
        tokens=[500, 500, 500, 500],
        replies=16,
        cut=4,
        texts=texts,
        log_probability=-1.5,
        seed_rouge_l=0.25,
    )
    row = dict(zip(decoding.COLUMNS, decoding.row_of(made, SEEDS, 2), strict=True))
    assert row["accepted of items"] == "35 of 70"
    assert (row["tokens"], row["accepted per 1,000 tokens"], row["per CPU s"]) == (
        "2,000", "17.5", "8.75",
    )  # fmt: skip
    # From 40 per 1,000 tokens to 20 with 20 more: halved with every 20 or fewer.
    assert 38 < float(row["by the fit: first"]) < 50 and float(row["halves with"]) < 20
    assert (row["ends early"], row["human-like start"]) == ("4 of 16", "50%")
    assert (row["distinct-2"], row["log p a token"], row["ROUGE-L to a seed"]) == (
        "1.00", "-1.50", "0.25",
    )  # fmt: skip


def test_a_texts_log_probability_is_that_of_one_forward_pass(
    decoding: ModuleType, demo_settings: Instructions, tiny_llama: Path
) -> None:
    model, tokenizer = load_backbone(tiny_llama, quantization="none"), load_tokenizer(tiny_llama)
    prompt = prompt_of("Come up with tasks:\n{tasks}", {"tasks"}, "prompt")
    texts = ["Sort the list.", "Name it"]
    before = encode(tokenizer, "Come up with tasks:\nTask 1:", start=True)
    wanted = []
    for text in texts:
        own = encode(tokenizer, f" {text}", start=False)
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([before + own])).logits[0, len(before) - 1 : -1]
        wanted += logits.log_softmax(-1)[range(len(own)), own].tolist()
    found = decoding.log_probability(texts, model, tokenizer, prompt=prompt, rules=demo_settings)
    assert found == pytest.approx(fmean(wanted), rel=1e-4)


@pytest.mark.slow
def test_it_runs_and_keeps_what_it_measured(world: Path, tmp_path: Path) -> None:
    words: list[object] = [ROOT / "benchmarks" / "decoding.py", "--quick", "--model"]
    words += [world / "llama", "--seeds", world / "seeds.jsonl", "--tokens", 80]
    words += ["--requests", 2, "--json", tmp_path / "kept.json", "--plot", tmp_path / "plot.svg"]
    tables = []
    for _ in range(2):
        done = run_forked(words, cwd=ROOT, timeout_s=300)
        assert done.returncode == 0, done.stderr
        tables.append(done.stdout)
    assert tables[0] == tables[1], "the second time nothing is measured again"
    kept = json.loads((tmp_path / "kept.json").read_text())
    assert [row["setting"] for row in kept] == ["", kept[1]["setting"]]
    assert "temperature=1.0" in kept[1]["setting"] and len(kept[0]["texts"]) > 3
    assert all(row["log_probability"] < 0 for row in kept)
    assert "| as in config.yaml |" in tables[0] and (tmp_path / "plot.svg").stat().st_size > 1000
