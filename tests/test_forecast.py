"""What a run will cost: by hand-computed numbers, and on one screen through the command line."""

from __future__ import annotations

import json
import math
import re
import runpy
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from refine_af.errors import InputError
from refine_af.forecast.assumptions import WORDS, Assumptions, estimated, likely_of, ranges_of
from refine_af.forecast.hours import STAGES, Foretold
from refine_af.forecast.known import of_config, of_folder
from refine_af.forecast.passes import Asked, Passes, cut_off
from refine_af.forecast.rates import Calibration, Rates, machine_of, read_calibration, sheet_of
from refine_af.forecast.work import Work
from refine_af.jobs.command_line import run
from refine_af.models.stored_weights import FOUR_BITS
from refine_af.records.forecast import digest_of_settings, read_forecast
from refine_af.settings.experiment import Experiment
from refine_af.settings.lora import Lora
from refine_af.workflow.configuration import read_configuration, read_experiment, resolved
from refine_af.workflow.plan import Plan
from tiny import ROOT

CONFIG = {
    "model_type": "mistral",
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 10,
}
MEASURED = Calibration("Some CPU", False, 16.0, 0.1, 0.1, 0.1, 10.0, 1.0, 2.0, 5.0)


def edited(**values: Any) -> str:
    """A calibration's file in which somebody changed some values."""
    return json.dumps(asdict(MEASURED) | values)


def experiment_of(**changes: Any) -> Experiment:
    return read_experiment(read_configuration(ROOT / "config.yaml", typed=changes).values)


def plan_of(**changes: Any) -> Plan:
    return Plan(experiment_of(**changes), ROOT)


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An experiment's folder without results, on a machine without a cache of the hub."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def rates(**changes: float) -> Rates:
    """A machine of round numbers, which starts everything at once."""
    values: dict[str, Any] = dict.fromkeys(("training", "reading", "judging"), 1e6)
    values |= {"bandwidth": 1e6, "layer_s": 0.0, "trained_layer_s": 0.0, "start_s": 0.0}
    return Rates(**(values | {"gpu": True, "memory": 1e9, "disk": 1e9} | changes))


def test_a_shape_is_counted_by_hand() -> None:
    shape = of_config(CONFIG, "by hand")
    assert shape is not None
    # A layer: q and o 8 × 8, k and v 8 × 4, three of 8 × 16; 16 in norms. Two tables of 10 × 8.
    assert shape.passed == 2 * (2 * 64 + 2 * 32 + 3 * 128) == 1152
    assert shape.counts == (1152 + 2 * 80 + 2 * 16 + 8, 1152)
    assert (shape.query, shape.keys, shape.head, shape.stored) == (8, 4, 80, 2704)
    lora = Lora(r=3, alpha=6, dropout=0.0, targets="all-linear")
    assert shape.adapted(lora) == 3 * 2 * (2 * 16 + 2 * 12 + 3 * 24)
    named = lora.model_copy(update={"targets": ("q_proj", "down_proj")})
    assert shape.adapted(named) == 3 * 2 * (16 + 24)
    tied = of_config({**CONFIG, "tie_word_embeddings": True}, "by hand")
    assert tied is not None and tied.counts.weights == shape.counts.weights - 80
    assert of_config({**CONFIG, "model_type": "mamba"}, "by hand") is None


def test_a_pass_takes_the_longer_of_operations_and_bytes() -> None:
    shape = of_config(CONFIG, "by hand")
    assert shape is not None
    on = Passes(rates(), shape, "none")
    # 100 tokens of 2 × 1152 operations each, and 4 × 2 layers × 8 for each of 5 that it sees.
    assert on.operations(100, 5, 3) == 100 * (2304 + 320) + 2 * 80 * 3
    assert on.read(1, 100, 5) == pytest.approx(0.2624)
    assert on.read(1, 1, 0) == pytest.approx(2704e-6), "weights of 1,352 × 2 bytes"
    slow = Passes(rates(layer_s=0.5), shape, "none")
    assert slow.read(3, 100, 5) == pytest.approx(3 * 2 * 0.5 + 0.2624)
    small = Passes(rates(), shape, "nf4")
    assert small.weights == pytest.approx(1152 * FOUR_BITS + 200 * 2)
    assert small.read_weights == pytest.approx(small.weights + 2 * 2 * 1152), "a copy and back"
    on_cpu = Passes(rates(gpu=False), shape, "none")
    assert on_cpu.weights == 1352 * 4
    seconds = on.train(1, 100, 5, 0, recomputed=False)
    assert seconds == pytest.approx(2 * 0.2624), "of an adapter: forward, and back to the inputs"
    assert on.train(1, 100, 5, 0, recomputed=True) == pytest.approx(3 * 0.2624)
    assert on.train(1, 100, 5, 0, recomputed=True, full=True) == pytest.approx(4 * 0.2624)


def test_texts_are_written_in_rounds_that_end_with_their_longest() -> None:
    shape = of_config(CONFIG, "by hand")
    assert shape is not None
    on = Passes(rates(layer_s=1.0, reading=1e15, bandwidth=1e15), shape, "none")
    asked = Asked(requests=20, round_size=10, prefix=0, tail=4, reply=6, most=50)
    assert on.places(asked) == 10
    # Two rounds of 50 steps on two layers, each begun by one pass over the prompts.
    assert on.write(asked) == pytest.approx(2 * 50 * 2 + 2 * 2)
    shared = Asked(requests=20, round_size=10, prefix=30, tail=4, reply=6, most=50)
    assert on.write(shared) == pytest.approx(2 * 50 * 2 + 2 * 2 + 2 * 2), "and by its prefix"
    # A long one is read once a step, not for each text: 2 × 2 layers × 4 wide × 2 bytes a token.
    slow = Passes(rates(layer_s=0.0, reading=1e15, bandwidth=1e3), shape, "none")
    long = Asked(requests=10, round_size=10, prefix=300, tail=4, reply=50, most=1)
    assert (long.shared, long.own) == (300, 4)
    alone = Asked(requests=3, round_size=10, prefix=300, tail=4, reply=50, most=1)
    assert (alone.shared, alone.own) == (0, 304), "too few to share it"
    rows = 10 * cut_off(50, 1)
    step = (slow.read_weights + 32 * (300 + rows * 4.5)) / 1e3
    rest = slow.read(1, 40, 302, 10) + slow.read(1, 300, 150)
    assert slow.write(long) == pytest.approx(step + rest)
    # A row: 2 × 2 layers × 4 wide × 2 bytes × (4 + 50 + 128) tokens, and 32 × 10 to draw from.
    row = 32 * 182 + 320
    few = Passes(rates(memory=2704 + 5.5 * row / 0.8, layer_s=1.0), shape, "none")
    assert few.places(asked) == 5
    # 10 of 20 wait: their 6 tokens each in 5 places are 12 more steps, and 16 more admissions.
    assert cut_off(6, 50) == pytest.approx(6, abs=2e-3)
    fast = Passes(
        rates(memory=2704 + 5.5 * row / 0.8, layer_s=1.0, reading=1e15, bandwidth=1e15),
        shape,
        "none",
    )
    assert fast.write(asked) == pytest.approx((2 * 50 + 12) * 2 + (2 + 16) * 2, rel=1e-4)


def test_replies_are_cut_off_at_their_limit() -> None:
    # Of exponential lengths about 100, e⁻¹ is longer than 100.
    assert cut_off(100, 100) == pytest.approx(100 * (1 - math.exp(-1)))
    assert cut_off(100, 10_000) == pytest.approx(100) and cut_off(1e9, 10) == pytest.approx(10)


def test_fine_tuning_takes_as_long_as_there_are_instances() -> None:
    plan = plan_of(sft={"epochs": 1})
    on = plan.forecast.on(sheet_of(plan.experiment.forecast, "a100"))
    work = [
        Work(plan.experiment, on.shapes["llama-2-7b"], on.beside, rates(start_s=1.0), assumed)  # type: ignore[arg-type]
        for assumed in (replace(on.likely, kept=share) for share in (0.4, 0.8))
    ]
    once, twice = (each.tuning(5000) - each._start() for each in work)
    assert twice == pytest.approx(2 * once)
    counted = plan_of(sft={"epochs": 1}, subsets={"count": "instances"}).experiment
    whole = Work(counted, on.shapes["llama-2-7b"], on.beside, rates(start_s=1.0), work[0]._assumed)  # type: ignore[arg-type]
    assert whole.tuning(5000) - whole._start() == pytest.approx(once / 0.4)


def test_jobs_that_find_classification_tasks_count() -> None:
    asked = {"classification": {"methods": ["self-instruct"]}}
    before, after = (
        {(row.model, row.stage): row for row in told.rows()}["mistral-7b", "instances"]
        for told in (foretold(), foretold(instances=asked))
    )
    assert after.jobs == before.jobs + 3, "one a segment"
    assert before.spent and after.spent and before.spent.likeliest < after.spent.likeliest


def test_the_backbone_itself_scores_where_it_is_the_judge(nowhere: Path) -> None:
    from refine_af.settings.reward import Likelihood

    plan = plan_of()
    on = plan.forecast.on(sheet_of(plan.experiment.forecast, "a100"))
    reward = plan.experiment.reward.model_copy(
        update={"likelihood": Likelihood(quantization="none"), "model": None}
    )
    whole = plan.experiment.model_copy(update={"reward": reward})
    shape = of_config(CONFIG, "")
    assert shape is not None
    work = Work(
        whole, shape, on.beside, rates(reading=1e12, bandwidth=1e12, layer_s=1.0), on.likely
    )
    # Two texts of each of 80 instances, eight at a time, on two layers.
    assert work._scores(80 / on.likely.kept) == pytest.approx(2 * 80 / 8 * 2, rel=1e-3)


def test_instances_that_are_there_are_counted(nowhere: Path) -> None:
    assert foretold().beside.evaluated == 119 * 100
    (nowhere / "results").mkdir()
    (nowhere / "results" / "superni_instances.jsonl").write_text("{}\n" * 7)
    assert foretold().beside.evaluated == 7


def test_a_range_takes_assumptions_for_independent() -> None:
    ranges = dict.fromkeys(WORDS, (1.0, 1.0, 1.0))
    ranges |= {"instruction": (2.0, 4.0, 16.0), "prediction": (5.0, 10.0, 20.0)}
    found = estimated(lambda assumed: assumed.instruction * assumed.prediction, ranges)
    assert found.likeliest == 40
    assert math.log(found.most / 40) == pytest.approx(math.hypot(math.log(4), math.log(2)))
    assert math.log(40 / found.least) == pytest.approx(math.hypot(math.log(2), math.log(2)))
    assert found.widest == "the length of an instruction"
    inverse = estimated(lambda assumed: 8 / assumed.instruction, ranges)
    assert inverse.triple == pytest.approx((0.5, 2, 4))
    assert estimated(lambda _: 3.0, ranges).triple == (3, 3, 3)
    assert estimated(lambda _: 0.0, ranges).triple == (0, 0, 0)


def test_stage_1_asks_as_the_yield_declines() -> None:
    assumed = likely_of(ranges_of(experiment_of().forecast))
    assert isinstance(assumed, Assumptions)
    plan = plan_of(forecast={"yields": {"accepted": [2, 2, 2], "halves_with": [5e3, 5e3, 5e3]}})
    on = plan.forecast.on(sheet_of(plan.experiment.forecast, "a100"))
    work = Work(plan.experiment, of_config(CONFIG, ""), on.beside, rates(), on.likely)  # type: ignore[arg-type]
    # The integral of 2 exp(-n ln 2 / 5000): each segment of 5,000 asks twice as often.
    first = (5000 / math.log(2)) / 2
    assert [work.asked(k) for k in (0, 1, 2)] == pytest.approx([first, 2 * first, 4 * first])


def foretold(name: str = "a100", **changes: Any) -> Foretold:
    plan = plan_of(**changes)
    return plan.forecast.on(sheet_of(plan.experiment.forecast, name))


def test_the_papers_grid_is_told_before_anything_is_fetched() -> None:
    rows = foretold().rows()
    assert [(row.model, row.stage) for row in rows] == [
        (model, stage) for model in experiment_of().models for stage in STAGES
    ]
    assert sum(row.jobs for row in rows) == 3 * (3 + 1 + 12 + 6 + 7 + 7)
    for row in rows:
        assert row.spent is not None and row.longest is not None
        least, likeliest, most = row.spent.triple
        assert 0 < least < likeliest < most
        assert row.longest.likeliest <= likeliest * 1.0001
    faster = {(row.model, row.stage): row.spent for row in foretold("h100").rows()}
    for row in rows:
        other = faster[row.model, row.stage]
        assert other is not None and row.spent is not None
        assert other.likeliest < row.spent.likeliest


def test_planning_imports_no_torch() -> None:
    code = (
        "import sys; sys.path.insert(0, 'scripts'); from pathlib import Path;"
        "from refine_af.workflow.configuration import read_configuration, read_experiment;"
        "from refine_af.workflow.plan import Plan;"
        "plan = Plan(read_experiment(read_configuration(Path('config.yaml'))), Path('.'));"
        "plan.forecast.foretold.rows(); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


def test_a_time_limit_is_config_yamls_or_the_forecasts() -> None:
    plan = plan_of()
    job = SimpleNamespace(model="llama-2-7b", cell="refine-af_5000", segment="2")
    (row,) = (r for r in foretold().rows() if (r.model, r.stage) == ("llama-2-7b", "instructions"))
    assert row.longest is not None
    limit = plan.runtime("instructions")(job, 1)
    assert limit == math.ceil(1.5 * row.longest.most / 600) * 10 and limit > 30
    assert plan.runtime("instructions")(job, 2) == 2 * limit, "again with each attempt"
    small, large = (
        plan.runtime("sft")(SimpleNamespace(model="llama-2-13b", cell=f"refine-af_{size}"), 1)
        for size in (5000, 15000)
    )
    assert 2 * small < large < 24 * 60
    assert plan.runtime("users")(job, 1) == 30, "forecast.least_runtime"
    assert plan.runtime("diversity")(job, 1) == 480, "config.yaml's own"
    said = plan_of(compute={"ppo": {"runtime": 77}})
    assert said.runtime("ppo")(job, 1) == said.runtime("ppo")(job, 3) == 77
    other = plan_of(models={"llama-2-7b": {"checkpoint": "some/one@1234567"}})
    assert other.runtime("ppo")(job, 1) == 1440, "forecast.unknown_runtime"


def test_what_is_not_known_is_said() -> None:
    rows = foretold(models={"llama-2-7b": {"checkpoint": "some/one@1234567"}}).rows()
    unknown = {row.why for row in rows if row.spent is None}
    assert unknown == {"its shape is not known before it is fetched"}
    assert {row.model for row in rows if row.spent is None} == {"llama-2-7b"}


def test_the_hubs_cache_tells_a_shape(nowhere: Path) -> None:
    place = nowhere / "hub" / "models--some--one" / "snapshots" / "1234567abc" / "config.json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(CONFIG))
    found = foretold(models={"llama-2-7b": {"checkpoint": "some/one@1234567"}})
    shape = found.shapes["llama-2-7b"]
    assert shape is not None and shape.source == "its config.json, in the hub's cache"


def test_the_files_of_a_checkpoint_tell_its_shape(nowhere: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    shapes = {"embed_tokens": (10, 8), "lm_head": (10, 8), "norm": (8,)}
    for layer in range(2):
        for name, (before, after) in {
            **dict.fromkeys(("self_attn.q_proj", "self_attn.o_proj"), (8, 8)),
            **dict.fromkeys(("self_attn.k_proj", "self_attn.v_proj"), (8, 4)),
            **dict.fromkeys(("mlp.gate_proj", "mlp.up_proj"), (8, 16)),
            "mlp.down_proj": (16, 8),
        }.items():
            shapes[f"model.layers.{layer}.{name}"] = (after, before)
        shapes[f"model.layers.{layer}.norms"] = (16,)
    save_file(
        {f"{name}.weight": np.zeros(size, np.float16) for name, size in shapes.items()},
        nowhere / "model.safetensors",
    )
    (nowhere / "config.json").write_text(json.dumps(CONFIG))
    found, said = of_folder(nowhere), of_config(CONFIG, "")
    assert said is not None
    assert (found.counts, dict(found.linears)) == (said.counts, dict(said.linears))
    (nowhere / "config.json").write_text(json.dumps({**CONFIG, "num_hidden_layers": "two"}))
    with pytest.raises(InputError, match="num_hidden_layers is no count: 'two'"):
        of_folder(nowhere)


def test_a_measured_machine_is_taken_where_none_is_named(nowhere: Path) -> None:
    plan, path = plan_of(), nowhere / "results" / "calibration.json"
    path.parent.mkdir()
    path.write_text(json.dumps(asdict(MEASURED)))
    assert read_calibration(path) == MEASURED
    assert plan.forecast.machine.name == "Some CPU" and not plan.forecast.machine.gpu
    slow = plan.forecast.machine.rates(likely_of(dict.fromkeys(WORDS, (2.0, 2.0, 2.0))))
    assert (slow.reading, slow.layer_s) == (0.05e12, 2e-3), "an hour takes two"
    named = machine_of(plan_of(forecast={"machine": "h100"}).experiment.forecast, path)
    assert named.name == "h100" and named.gpu


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (edited(layer_ms=0), "'layer_ms' is no number above 0: 0"),
        (edited(bandwidth_gb_s=math.inf), "'bandwidth_gb_s' is no number above 0: inf"),
        (edited(reading_tflops="fast"), "'reading_tflops' is no float: 'fast'"),
        (edited(memory_gb=True), "'memory_gb' is no float: True"),
        (edited(gpu="yes"), "'gpu' is no bool: 'yes'"),
        (edited(speed=3), "unknown key 'speed' in"),
        ("{}", "no 'name' in"),
        ('{"name": "Some CPU",', "not JSON"),
        ("[]", "not a JSON object"),
    ],
)
def test_a_damaged_calibration_is_told(nowhere: Path, text: str, said: str) -> None:
    """By its file, if somebody edited it or half of it is there, as a run or `make plan` begins."""
    path = nowhere / "results" / "calibration.json"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(said)) as fault:
        plan_of().forecast.keep("settings")
    assert str(fault.value).startswith("results/calibration.json: ")


def test_a_calibration_that_somebody_rounds_is_read(nowhere: Path) -> None:
    path = nowhere / "calibration.json"
    path.write_text(edited(layer_ms=2))
    assert read_calibration(path).layer_ms == 2


@pytest.mark.slow
def test_a_machine_is_measured_and_foretold_by(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through the command line, on layers so small that it takes seconds."""
    import torch

    from forecast import calibrate, plan
    from refine_af.forecast import calibration

    monkeypatch.setattr(calibration, "LARGE", {False: (2, 64, 128, 2, 64)})
    monkeypatch.setattr(calibration, "SMALL", (1, 32, 64, 2, 64))
    monkeypatch.setattr(calibration, "LIBRARIES", "import json")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    path = nowhere / "results" / "calibration.json"
    run(plan, calibrate, arguments=["calibrate", "--calibration", str(path)])
    found = read_calibration(path)
    assert not found.gpu and found.name and 1 < found.memory_gb < 1e5
    assert f"{found.name}: {found.reading_tflops:.3g} TFLOP/s reading" in capsys.readouterr().out
    own = plan_of().forecast
    assert own.machine.name == found.name and own.machine.rests_on == (
        "rates measured on this machine (results/calibration.json)"
    )
    assert all(row.spent and row.spent.likeliest > 0 for row in own.foretold.rows())


def test_a_finished_run_corrects_the_hours_of_its_stages(nowhere: Path) -> None:
    folder = nowhere / "earlier"
    folder.mkdir()
    (folder / "config.yaml").write_text(resolved(experiment_of()))
    plain = {(row.model, row.stage): row for row in foretold().rows()}
    taken = plain["llama-2-7b", "ppo"].spent
    assert taken is not None
    cost, head = folder / "cost.csv", "model,stage,resumed,unrecorded,gpu_s,cpu_s\n"
    cost.write_text(
        f"{head}llama-2-7b,ppo,0,0,{3 * taken.likeliest},1\nllama-2-7b,sft,0,0,0,much\n"
    )
    with pytest.raises(InputError, match=r"cost\.csv, line 3: no model, stage and seconds"):
        foretold(forecast={"finished": str(folder)})
    # Killed, not timed, and by jobs of which nobody knows whether they saw a GPU.
    unknown = "llama-2-7b,sft,1,0,0,5\nllama-2-7b,users,0,0,0,\nllama-2-7b,superni,0,1,0,5\n"
    cost.write_text(f"{head}llama-2-7b,ppo,1,0,{3 * taken.likeliest},1\n{unknown}")
    rows = {(r.model, r.stage): r for r in foretold(forecast={"finished": str(folder)}).rows()}
    for model in ("llama-2-7b", "mistral-7b"):  # another model by those that ran
        before, after = plain[model, "ppo"].spent, rows[model, "ppo"].spent
        assert before is not None and after is not None
        assert after.likeliest == pytest.approx(3 * before.likeliest)
        assert after.triple == pytest.approx([f * after.likeliest for f in (0.8, 1.0, 1.3)])
        assert rows[model, "ppo"].why == "a finished run"
    for stage in ("sft", "users", "superni"):
        assert rows["llama-2-7b", stage] == plain["llama-2-7b", stage]
    with pytest.raises(InputError, match=r"forecast\.finished: .*cost\.csv: there is no such file"):
        foretold(forecast={"finished": str(nowhere / "none")})


def test_a_run_keeps_what_was_foretold_of_it(nowhere: Path) -> None:
    (nowhere / "results").mkdir()
    path = nowhere / "results" / "forecast.json"
    asked = resolved(experiment_of())
    plan_of().forecast.keep(asked)
    first = read_forecast(path)
    assert (first.machine, first.gpu, len(first.stages)) == ("a100", True, 18)
    assert first.settings_sha256 == digest_of_settings(asked)
    faster = experiment_of(forecast={"machine": "h100"})
    Plan(faster, ROOT).forecast.keep(resolved(faster))
    assert read_forecast(path) == first, "as it was told when the run began"
    longer = experiment_of(forecast={"machine": "h100"}, ppo={"steps": 7})
    Plan(longer, ROOT).forecast.keep(resolved(longer))
    assert read_forecast(path).machine == "h100", "another run"


def test_the_page_holds_the_papers_grid() -> None:
    generated = runpy.run_path(str(ROOT / "docs" / "make_forecast.py"))["generated"]()
    for path, text in generated.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is old: `make docs`"


@pytest.mark.slow
def test_one_screen_tells_it_in_plain_words(nowhere: Path) -> None:
    experiment = experiment_of(models={"llama-2-7b": {"checkpoint": "some/one@1234567"}})
    arguments = ["--experiment", experiment.model_dump_json(), "--root", str(ROOT)]
    place = nowhere / "forecast.txt"
    # No fork, for the cache's place is read at the start.
    script = ROOT / "scripts" / "forecast.py"
    command = [sys.executable, str(script), "plan", *arguments, "--forecast", str(place)]
    done = subprocess.run(command, cwd=nowhere, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = place.read_text()
    assert said in done.stdout
    lines = said.split("\n")
    assert len(lines) <= 40 and max(map(len, lines)) <= 125
    assert lines[0] == "jobs       108 that run a model (all: snakemake -n --quiet rules)"
    assert lines[1] == "rows       90,000 instances, where every reply holds one"
    assert lines[2] == (
        "downloads  48.8 GB for 5 checkpoints, and some/one, whose size is not known; data sets "
        "come on top"
    )
    assert lines[3] == "licences   to accept on the hub: meta-llama/Llama-2-13b-hf"
    assert "a100: the maker's data sheet, at assumed efficiencies" in said
    assert "  2 ppo             1  – (its shape is not known before it is fetched)" in said
    (ppo,) = [line for line in lines[lines.index("mistral-7b") :] if "2 ppo" in line]
    assert 10 < float(ppo.split()[11]) < 30, "GB"
    assert said.count("GPU-hours") == 2
