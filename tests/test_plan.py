"""An experiment's axes, and what a change of it turns into for the jobs."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from refine_af.errors import InputError
from refine_af.randomness import derived_seed
from refine_af.workflow.configuration import read_configuration, read_experiment
from refine_af.workflow.instances_plan import InstancesPlan
from refine_af.workflow.paths import origins
from refine_af.workflow.plan import Plan
from tiny import ROOT


def plan_of(**changes: Any) -> Plan:
    values = read_configuration(ROOT / "config.yaml", typed=changes).values
    return Plan(read_experiment(values), ROOT)


SERVER: dict[str, Any] = {"url": "http://h:1/v1", "model": "big", "key_variable": None}
SERVER |= {"concurrency": 2, "timeout_s": 1.0, "attempts": 1, "patience_s": 1.0}


def test_only_a_stage_that_asks_a_server_is_told_of_it() -> None:
    servers = dict.fromkeys(("llama-2-7b", "llama-2-13b", "mistral-7b"), SERVER)
    asks = {"engine": "server"}
    plan = plan_of(servers=servers, superni=asks, instances=asks)
    at = SimpleNamespace(model="mistral-7b", cell="refine-af_r2_5000_r3", method="refine-af_r2")
    base = SimpleNamespace(model="mistral-7b", cell="base", method="self-instruct")
    own = plan.servers
    assert [own.gpus(stage)(at) for stage in ("superni", "instances", "users")] == [0, 0, 1]
    assert plan.on_gpus(own.gpus("superni"))(at, 1).endswith("on_gpus.py 0 python")
    assert plan.on_gpus(own.gpus("users"))(at, 1).endswith("on_gpus.py 1 python")
    assert (own.cell("users")(at), own.server("users")(at, 1)) == ([], [])
    names = [own.cell("superni"), own.writer("instances"), own.backbone("instances")]
    found = [[json.loads(str(name(each)))["model"] for name in names] for each in (at, base)]
    assert found == [["big-refine-af_r2_5000_r3", "big-ppo_r2", "big"], ["big"] * 3]
    assert json.loads(str(own.server("superni")(at, 1)))["url"] == SERVER["url"]
    moved = plan_of(
        servers=dict.fromkeys(servers, SERVER | {"url": "http://other/v1"}), superni=asks
    )
    assert moved.servers.cell("superni")(at) == own.cell("superni")(at), "reruns nothing"


def nowhere(last: int) -> str:
    raise AssertionError("sizes that count instructions need no counts")


def test_the_papers_axes() -> None:
    plan = plan_of()
    assert plan.models == ["llama-2-7b", "llama-2-13b", "mistral-7b"]
    assert plan.cells == ["base", *plan.tuned]
    assert plan.tuned[:2] == ["self-instruct_5000", "self-instruct_10000"]
    assert len(plan.tuned) == 6
    assert plan.segments.possible == plan.segments.pool([nowhere]) == [0, 1, 2]
    assert plan.segments.holding(5001, nowhere) == ["0", "1"]
    assert plan.segments.holding("5000", nowhere) == ["0"]
    assert plan.segments.counted(5000, nowhere) == []
    assert len(plan.instances.rounds) == 20  # 5,000 instructions, 256 a round
    assert plan.rated_cells() == ["self-instruct_15000", "refine-af_15000"]


def test_random_subsets_stand_in_every_segment_of_what_they_are_drawn_from() -> None:
    plan = plan_of(subsets={"order": "random"}, sizes=[100, 5000])
    held = plan.segments.holding(100, nowhere)
    assert plan.segments.possible == [0, 1, 2] and held == ["0", "1", "2"], (
        "the pool's, not a size's"
    )
    assert plan.segments.remarks == [
        "sizes 100, 5000: A size's instructions are drawn at random from the first 15,000 of the "
        "pool (seed 0), and each size has all of a smaller one's."
    ]
    grown = plan_of(subsets={"order": "random"}, sizes=[100, 200, 5000])
    assert grown.subsets()(None) == plan.subsets()(None), "another size leaves these two alone"
    assert grown.segments.holding(100, nowhere) == held
    odd = plan_of(subsets={"order": "random", "pool": 12_000}, sizes=[100])
    assert "3000 more than subsets.pool 12000. A smaller" in odd.segments.remarks[0]
    prefix = plan_of(sizes=[100, 5000])
    assert prefix.segments.holding("5000", nowhere) == ["0"] and prefix.segments.remarks == []
    others = plan_of(subsets={"pool": 7, "seed": 9}), plan_of(subsets={"order": "random"})
    same, drawn = (other.subsets()(None) == plan_of().subsets()(None) for other in others)
    assert same and not drawn, "of prefixes neither pool nor seed counts"
    with pytest.raises(InputError, match=r"sizes: 20000 exceeds subsets\.pool 15000, the first"):
        plan_of(subsets={"order": "random"}, sizes=[20_000])


def test_replicates_add_cells_after_those_of_the_first() -> None:
    first = plan_of()
    plan = plan_of(replicates={"sft": 3, "ppo": 2})
    assert plan.replicates.ppo == ["", "_r2"]
    assert plan.replicates.data_sets == ["self-instruct", "refine-af", "refine-af_r2"]
    assert plan.replicates.first == first.tuned == plan.tuned[:6]
    assert len(plan.tuned) == len(set(plan.tuned)) == 27  # 3 sizes of 3 data sets, 3 times
    assert {"self-instruct_5000_r3", "refine-af_r2_15000", "refine-af_r2_5000_r2"} < {*plan.tuned}
    assert [plan.rated_cells(), plan.methods] == [first.rated_cells(), first.methods]


def test_every_replicate_has_a_seed_of_its_own_and_the_first_that_of_the_section() -> None:
    plan = plan_of(replicates={"sft": 3, "ppo": 2})
    whole = plan.experiment

    def tuned(cell: str) -> dict[str, Any]:
        section: dict[str, Any] = json.loads(
            plan.replicates.sft_section(SimpleNamespace(cell=cell))
        )
        return section

    texts = [plan.replicates.ppo_section(SimpleNamespace(replicate=end)) for end in ("", "_r2")]
    assert texts[0] == plan.section("ppo")(None)
    assert json.loads(texts[1]) == json.loads(texts[0]) | {
        "seed": derived_seed(whole.ppo.seed, "replicate", 2) >> 31
    }
    one = plan.replicates.sft_section(SimpleNamespace(cell="refine-af_5000"))
    assert one == plan.section("sft")(None)
    names = ["refine-af_5000", "refine-af_5000_r2", "refine-af_5000_r3", "refine-af_r2_5000"]
    names.append("refine-af_r2_5000_r2")
    seeds = [tuned(name)["seed"] for name in names]
    assert seeds[0] == whole.sft.seed and len(set(seeds)) == 5 and max(seeds) < 2**32
    assert seeds[1] == derived_seed(whole.sft.seed, "replicate", 1, 2) >> 31
    # Either method's replicate has the same, and so has every size.
    assert tuned("self-instruct_15000_r2") == tuned("refine-af_5000_r2")


def test_what_jobs_of_a_replicate_are_told() -> None:
    plan = plan_of(replicates={"sft": 1, "ppo": 2})
    second = SimpleNamespace(method="refine-af_r2", model="mistral-7b", cell="refine-af_r2_5000")
    assert plan.replicates.method(second, 1) == "refine-af"
    assert plan.replicates.size(second, 1) == "5000"
    assert plan.replicates.teachers(second) == ["_r2"]
    assert plan.replicates.teachers(SimpleNamespace(method="self-instruct")) == []
    branch = {"classification": {"methods": ["refine-af"]}}
    asked, first = plan_of(instances=branch).instances, SimpleNamespace(method="refine-af")
    assert asked.asks_output_first(second) and asked.output_first_prompt(second)
    assert asked.section_of_replies(second) == asked.section_of_replies(first)
    told = json.loads(plan.replicates.origin(second))  # the card tells the seed of its own stage 2
    assert told["ppo"]["seed"] == derived_seed(0, "replicate", 2) >> 31


def test_shards_take_every_round_once() -> None:
    plan = plan_of(compute={"instances": {"shards": 3}, "superni": {"shards": 8}})
    ours = plan.instances
    taken = [number for shard in ours.shards for number in ours.rounds_of(shard)]
    assert len(ours.shards) == 3 and sorted(taken) == ours.rounds
    parts = [number for shard in plan.evaluation_shards for number in plan.parts_of(shard)]
    assert parts == plan.parts
    few = plan_of(compute={"instances": {"shards": 8}}, ppo={"rollouts": 16}).instances
    assert all(few.rounds_of(shard) for shard in few.shards)


def test_where_a_path_stands(tmp_path: Path) -> None:
    plan = Plan(plan_of().experiment, Path("../project"))
    assert plan.located("results/fetch/superni") == "results/fetch/superni"
    assert plan.located("resources/prompts/sft.json") == "../project/resources/prompts/sft.json"
    assert plan.located(str(tmp_path)) == str(tmp_path)
    assert plan.located("~/seeds.jsonl") == str(Path.home() / "seeds.jsonl")
    backbone = plan.backbone(SimpleNamespace(model="mistral-7b"))
    assert backbone.startswith("results/checkpoints/mistralai--Mistral-7B-v0.1--")


def test_a_section_is_one_text_and_parts_of_it_are_others() -> None:
    plan, other = plan_of(), plan_of(sft={"epochs": 2}, watch={"instructions": {"patience": 7}})
    assert plan.section("sft")(None) != other.section("sft")(None)
    assert plan.section("ppo")(None) == other.section("ppo")(None)
    assert plan.untracked("watch", "instances")(None, 1) == other.untracked("watch", "instances")(
        None, 2
    )
    assert plan.untracked("watch", "instructions")(None, 1) != other.untracked(
        "watch", "instructions"
    )(None, 1)
    pairs = plan_of(instances={"per_instruction": 2})
    assert plan.section("instances")(None) != pairs.section("instances")(None)
    of = SimpleNamespace(method="refine-af")
    assert plan.instances.section_of_replies(of) == pairs.instances.section_of_replies(of)


def test_the_branch_for_classification_tasks_touches_the_methods_that_have_it() -> None:
    def on(*methods: str, **changes: Any) -> InstancesPlan:
        return plan_of(instances={"classification": {"methods": methods, **changes}}).instances

    baseline, trained = (SimpleNamespace(method=name) for name in ("self-instruct", "refine-af"))
    off, one, both = on(), on("self-instruct"), on("self-instruct", "refine-af")
    assert not off.asks_output_first(baseline) and off.output_first_prompt(baseline) == []
    assert one.asks_output_first(baseline) and not one.asks_output_first(trained)
    assert off.section_of_replies(trained) == one.section_of_replies(trained)
    assert off.section_of_replies(baseline) != one.section_of_replies(baseline)
    assert one.section_of_replies(baseline) == both.section_of_replies(baseline)
    assert off.section_of_pairs()(None) == both.section_of_pairs()(None)
    shorter = on("self-instruct", max_new_tokens=9)
    assert shorter.section_of_replies(baseline) != one.section_of_replies(baseline)
    assert shorter.section_of_kinds()(None) == one.section_of_kinds()(None)
    null = plan_of(instances={"classification": None}).instances
    assert not null.asks_output_first(baseline)
    assert null.section_of_replies(baseline) == off.section_of_replies(baseline)


def test_a_server_that_a_job_starts_takes_a_gpu() -> None:
    """One that runs already takes none."""
    common: dict[str, Any] = {"model": "m", "key_variable": None, "concurrency": 1}
    common |= {"timeout_s": 1, "attempts": 1, "patience_s": 1}
    start: dict[str, Any] = {"command": "serve {checkpoint} {port}", "adapters": None}
    start |= {"environment": ".vllm", "ready_s": 9}
    servers = {"here": common | {"start": start}, "there": common | {"url": "http://h/v1"}}
    models = {name: {"checkpoint": f"/{name}"} for name in servers}
    values = read_configuration(ROOT / "config.yaml").values | {"models": models}
    served = values["instructions"] | {"engine": "server"}
    whole = read_experiment(values | {"servers": servers, "instructions": served})
    own = Plan(whole, Path("../project")).servers
    here, there = (SimpleNamespace(model=name) for name in servers)
    assert [own.gpus("instructions")(each) for each in (here, there)] == [1, 0]
    told = own.server("instructions")
    assert json.loads(str(told(here, 1)))["start"]["environment"] == "../project/.vllm"
    assert json.loads(str(told(there, 1)))["url"] == "http://h/v1"
    assert own.gpus("users")(there) == 1 and own.server("users")(here, 1) == []


def test_only_pins_decide_what_is_fetched() -> None:
    plan, slower = plan_of(), plan_of(fetch={"timeout_s": 5})
    name = SimpleNamespace(name="seed_tasks")
    assert plan.pinned_file(name) == slower.pinned_file(name)
    pin = {"url": "https://h/f", "sha256": "0" * 64}
    assert plan_of(fetch={"seed_tasks": pin}).pinned_file(name) != plan.pinned_file(name)
    blob, name = (
        {"url": "https://h/f", "git_blob_sha1": "0" * 40},
        SimpleNamespace(name="gpt3_instances"),
    )
    assert plan_of(fetch={"gpt3_instances": blob}).pinned_file(name) != plan.pinned_file(name)
    parser = SimpleNamespace(name="benepar_en3")
    assert plan.pinned_file(parser) == slower.pinned_file(parser)
    assert plan_of(fetch={"parsers": {"benepar_en3": pin}}).pinned_file(parser) != (
        plan.pinned_file(parser)
    )
    assert plan.axes("fetch_parser")["name"] == ["benepar_en3", "en_core_web_md"]


def test_a_scorer_that_is_no_python_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text("def f(:\n")
    monkeypatch.chdir(tmp_path)
    weights = {"a": 1.0, "constant": 0.0, "unparseable": -1.0}
    reward = {"scorer": "mine.f", "model": None, "evaluator": None, "weights": weights}
    values = read_configuration(ROOT / "config.yaml").values
    values["reward"] |= reward
    with pytest.raises(InputError, match=r"mine\.py, line 1: no Python"):
        Plan(read_experiment(values), ROOT)


def test_what_a_run_begins_from_tells_of_no_persons_folders() -> None:
    """A checkpoint of the hub by its commit; all else with the path that a digest is made of."""
    config = read_configuration(ROOT / "config.yaml").values
    config["models"]["mine"] = {"checkpoint": "/home/anna/models/mine"}
    files = ["/home/anna/config.yaml"]
    found = origins(read_experiment(config), lambda path: f"root/{path}", files)
    entries = {entry.what: entry for entry in found.entries}
    assert entries["configuration"].name == "config.yaml"
    assert entries["configuration"].path == "/home/anna/config.yaml"
    hub = entries["models.mistral-7b.checkpoint"]
    assert hub.name.startswith("mistralai/Mistral-7B-v0.1@") and hub.path is None
    mine = entries["models.mine.checkpoint"]
    assert (mine.name, mine.path) == ("mine", "root//home/anna/models/mine")
    assert entries["prompts.sft"].path == "root/resources/prompts/sft.json"
    assert {"data.seeds", "data.superni", "reward.model", "reward.evaluator"} <= entries.keys()
    assert {"neighbours.references", "diversity.parser"} <= entries.keys()
    config["neighbours"]["references"] = config["diversity"] = None
    entries = {entry.what: entry for entry in origins(read_experiment(config), str, []).entries}
    assert not {"neighbours.references", "diversity.parser"} & entries.keys()
