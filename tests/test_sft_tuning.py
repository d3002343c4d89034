"""Ways to fine-tune: all weights, merged, packed, without padding, on several processes."""

from __future__ import annotations

import csv
import json
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

import sft as stage
from fine_tuning import asked, flags, instance, settings
from refine_af.errors import InputError
from refine_af.models.backbones import load_backbone
from refine_af.sft import attention, training
from refine_af.sft.attention import keeps_rows_apart, without_padding
from refine_af.sft.processes import Processes
from refine_af.sft.trainer import ResumableTrainer
from refine_af.workflow.configuration import read_experiment
from tiny import ROOT, sentence, tiny_config, write_experiment
from workflow import snakemake

FAST = {"epochs": 2, "learning_rate": 1e-2, "batch_size": 1}


def rows(count: int = 9) -> list[Any]:
    numbers = random.Random(5)
    return [instance(n, sentence(numbers, 3), output=sentence(numbers, 2)) for n in range(count)]


def losses(folder: Path) -> list[float]:
    with open(folder / "history.csv", newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


@torch.no_grad()
def logits(folder: Path, adapter: Path | None = None) -> torch.Tensor:
    model = load_backbone(folder, quantization="none", adapter=adapter)
    found: torch.Tensor = model(torch.arange(3, 60)[None]).logits
    return found


def test_full_tuning_writes_a_model_that_takes_the_backbones_place(
    tmp_path: Path, tiny_llama: Path
) -> None:
    backbone = tmp_path / "half"
    shutil.copytree(tiny_llama, backbone)
    config = json.loads((backbone / "config.json").read_text())
    (backbone / "config.json").write_text(json.dumps(config | {"dtype": "bfloat16"}))
    made = asked(tmp_path, backbone, rows(), tuning="full", **FAST)
    stage.main(**made)
    folder = made["adapter"]
    assert losses(folder)[-1] < losses(folder)[0] - 0.3
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.bfloat16, "in the backbone's precision"
    assert AutoTokenizer.from_pretrained(folder)("Sort")["input_ids"]
    before, after = logits(backbone), logits(backbone, folder)
    assert torch.equal(after, logits(folder))
    assert float((after - before).abs().max()) > 0.3
    embeddings = model.get_input_embeddings().weight.float()
    ours = load_backbone(backbone, quantization="none").get_input_embeddings().weight
    assert not torch.allclose(embeddings, ours), "every weight trains"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tuning": "full", "quantization": "nf4"}, "say quantization: none, or tuning: lora"),
        ({"tuning": "full", "merge": True}, "writes a whole model already; say merge: false"),
    ],
)
def test_settings_that_cannot_be_together(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        settings(**changes)


def test_gpus_that_cannot_share_an_update_are_refused() -> None:
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    for gpus in (1, 2, 4):
        config["compute"]["sft"]["gpus"] = gpus
        read_experiment(config)
    config["compute"]["sft"]["gpus"] = 3
    with pytest.raises(InputError, match=r"3 GPUs cannot share .*_steps 4 evenly"):
        read_experiment(config)


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_a_merged_model_is_the_backbone_with_its_adapter(
    quantization: str, tmp_path: Path, tiny_llama: Path
) -> None:
    made = asked(tmp_path, tiny_llama, rows(), merge=True, quantization=quantization, **FAST)
    stage.main(**made)
    weights = load_file(made["adapter"] / "adapter_model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.float32}, "TRL's were bfloat16"
    merged = AutoModelForCausalLM.from_pretrained(made["adapter"] / "merged")
    with torch.no_grad():
        found = merged(torch.arange(3, 60)[None]).logits
    wanted = logits(tiny_llama, made["adapter"])
    assert float((wanted - logits(tiny_llama)).abs().max()) > 0.1
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    assert AutoTokenizer.from_pretrained(made["adapter"] / "merged")("Sort")["input_ids"]


@pytest.mark.slow
def test_on_a_cpu_rows_are_padded_and_packing_makes_fewer_updates(
    tmp_path: Path, tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """60 rows of 13 tokens: 8 updates of 8 rows, or one of them all, with the same loss."""
    many = [instance(n, f"{n:02} QXQXQXQ", output="Yes") for n in range(60)]
    bare = {"prompt": "{instruction}", "completion": " {output}"}
    form = {"with_input": [bare | {"prompt": "{instruction}{input}"}], "without_input": [bare]}
    (tmp_path / "form.json").write_text(json.dumps(form))
    seen: list[dict[str, Any]] = []
    step = ResumableTrainer.training_step

    def watched(self: ResumableTrainer, model: Any, inputs: Any, *others: Any) -> Any:
        seen.append({name: tuple(getattr(value, "shape", ())) for name, value in inputs.items()})
        return step(self, model, inputs, *others)

    monkeypatch.setattr(ResumableTrainer, "training_step", watched)
    found = {}
    for name, changes in {
        "padded": {"batch_size": 2},
        "at once": {"batch_size": 15},
        "packed": {"batch_size": 2, "packing": True},
    }.items():
        seen.clear()
        made = asked(tmp_path / name, tiny_llama, many, epochs=1, **changes)
        stage.main(**made | {"encodings": tmp_path / "form.json"})
        found[name] = losses(made["adapter"]), seen.copy()
    summary = json.loads((tmp_path / "padded" / "adapter" / "summary.json").read_text())
    assert summary["tokens"] == 60 * 13
    assert {name: len(curve) for name, (curve, _) in found.items()} == {
        "padded": 8,
        "at once": 1,
        "packed": 1,
    }
    padded, packed = found["padded"][1], found["packed"][1]
    assert {batch["attention_mask"] for batch in padded} == {(2, 13)}
    assert not any("position_ids" in batch for batch in padded)
    (batch,) = packed
    assert batch["input_ids"] == batch["position_ids"] == (1, 60 * 13)
    assert "attention_mask" not in batch, "it would hide where a row begins"
    assert found["packed"][0] == pytest.approx(found["at once"][0], rel=1e-6), "rows are apart"


@pytest.fixture
def mixing(tiny_llama: Path) -> Iterator[Any]:
    """A model whose attention is causal and knows of no rows."""

    def attend(module: Any, query: Any, key: Any, value: Any, *_: Any, **others: Any) -> Any:
        made = torch.nn.functional.scaled_dot_product_attention(
            query, key, value, is_causal=True, scale=others["scaling"], enable_gqa=True
        )
        return made.transpose(1, 2).contiguous(), None

    ALL_ATTENTION_FUNCTIONS.register("mixing", attend)
    model = load_backbone(tiny_llama, quantization="none")
    model.set_attn_implementation("mixing")
    yield model


def test_rows_go_without_padding_only_where_attention_keeps_them_apart(
    mixing: Any, tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = load_backbone(tiny_llama, quantization="none").train()
    assert plain.config._attn_implementation == "sdpa"
    assert keeps_rows_apart(plain) and plain.training
    assert not keeps_rows_apart(mixing) and not mixing.training
    assert not without_padding(plain, packing=False), "padded: there is no GPU"
    assert without_padding(plain, packing=True)
    with pytest.raises(InputError, match=r"sft\.packing: the attention of this model lets"):
        without_padding(mixing, packing=True)
    gpu: Any = SimpleNamespace(device=torch.device("cuda"))
    for apart in (True, False):
        monkeypatch.setattr(attention, "keeps_rows_apart", lambda _, apart=apart: apart)
        assert without_padding(gpu, packing=False) is apart


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path: Path, tiny_llama: Path) -> None:
    """9 rows in updates of 4, 4 and 1: where one process has the last row, the other has none."""
    shared = asked(tmp_path / "two", tiny_llama, rows(), **FAST)
    command = ["accelerate", "launch", "--multi_gpu", "--num_machines", "1", "--num_processes", "2"]
    command += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    command += [str(part) for part in (ROOT / "scripts" / "sft.py", *flags(shared))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("progress: 0/6 updates") == 1, "one of them speaks"
    alone = asked(tmp_path / "one", tiny_llama, rows(), **FAST)
    stage.main(**alone)
    curves = [losses(made["adapter"]) for made in (shared, alone)]
    assert len(curves[0]) == 6
    assert curves[0] == pytest.approx(curves[1], rel=1e-5)
    names = [sorted(path.name for path in made["adapter"].iterdir()) for made in (shared, alone)]
    assert names[0] == names[1]


def test_memory_that_runs_out_on_one_of_several_gpus_ends_the_job() -> None:
    error = torch.OutOfMemoryError("CUDA out of memory. Tried\nadvice")
    message = r"^out of memory with 4 rows at a time on each of 2 GPUs: CUDA out of memory\. Tried;"
    with pytest.raises(InputError, match=message):
        training._half(4, Processes(2, 0), error)
    with pytest.raises(InputError, match=r"one row at a time: MemoryError; a lower"):
        training._half(1, Processes(1, 0), MemoryError())


def test_the_rule_starts_a_process_a_gpu_and_asks_for_no_more_than_decides(
    world: Path, tmp_path: Path
) -> None:
    """Overlaps and seeds are inputs only where the settings ask for them."""
    config = tiny_config(world)
    config["sft"]["gradient_accumulation_steps"] = 2
    seeds = tmp_path / "seeds.jsonl"
    row = '{"id": "seed_%d", "instruction": "Sort.", "instances": [{"input": "", "output": "a"}]}\n'
    seeds.write_text("".join(row % number for number in range(12)))
    config["data"]["seeds"] = str(seeds)
    cell = "results/sft_tiny/refine-af_4"
    told = {}
    for gpus in (1, 2):
        config["compute"]["sft"]["gpus"] = gpus
        config["sft"]["remove_overlap"] = config["sft"]["include_seeds"] = gpus == 2
        folder = write_experiment(tmp_path / str(gpus), config)
        done = snakemake("-n", "-p", "--cores", 1, "--directory", folder, cell)
        assert done.returncode == 0, done.stdout
        told[gpus] = done.stdout
    assert "accelerate" not in told[1] and "overlap_tiny" not in told[1]
    launched = "accelerate launch --multi_gpu --num_machines 1 --num_processes 2 "
    assert launched in told[2] and "gpu=2" in told[2]
    assert "--overlap results/segments/overlap_tiny/refine-af/0.jsonl --seeds /" in told[2]
    assert "--overlap --seeds --progress" in " ".join(told[1].split())
