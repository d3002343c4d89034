"""What the report says of a run's cost and provenance follows from the run's own account."""

from __future__ import annotations

import hashlib
import html
import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from made_up_run import make_account
from refine_af.errors import InputError
from refine_af.records.forecast import ForetoldStage, KeptForecast, digest_of_settings
from refine_af.report.account import Account, read_account
from refine_af.report.pages import Html
from refine_af.report.sections.cost import cost_section
from refine_af.report.sections.provenance import provenance_section

GPUS = ["NVIDIA A100", "NVIDIA A100"]
FALLING = '{"stages": [{"model": "tiny", "stage": "ppo", "jobs": 1, "least_s": 2, '
FALLING += '"likeliest_s": 1, "most_s": 3}]}'


def account(folder: Path) -> Account:
    names = ("cost.csv", "provenance.json", "config.yaml", "forecast.json")
    return read_account(*(folder / name for name in names))


def foretell(folder: Path, *, gpu: bool = False, **changed: object) -> None:
    """A forecast of what `make_account` makes: an hour of stage 1 and of PPO, of .5 to 2."""
    stages = [
        ForetoldStage("tiny", "instructions", 2, 1800.0, 3600.0, 7200.0),
        ForetoldStage("tiny", "ppo", 1, 1800.0, 3600.0, 7200.0),
    ]
    settings = digest_of_settings((folder / "config.yaml").read_text())
    kept = KeptForecast("2026-01-31T11:59:59Z", settings, "Any CPU", "as measured", gpu, stages)
    (folder / "forecast.json").write_text(json.dumps(asdict(kept) | changed))


def costs(folder: Path, *changes: tuple[str, str]) -> str:
    """What the section says once cost.csv has changed."""
    path = folder / "cost.csv"
    text = path.read_text()
    for before, after in changes:
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    path.write_text(text)
    return words(cost_section(["tiny"], account(folder)))


# The rows of cost.csv, up to the processor's seconds.
FIRST, PPO = "tiny,instructions,2,0,0,3600,2700,1800,", "tiny,ppo,1,1,0,7200,7200,3600,"
WHOLE = (PPO, "tiny,ppo,1,0,0,7200,7200,3600,")  # a run that nobody killed


def test_what_was_foretold_stands_beside_what_was_taken(tmp_path: Path) -> None:
    make_account(tmp_path, ["tiny"])
    foretell(tmp_path)
    said = costs(tmp_path, WHOLE)
    assert (
        "What it would cost was foretold at 2026-01-31T11:59:59Z, before the first job began, for "
        "Any CPU: as measured. Hours below are CPU-hours, as above; the ratio is what was foretold "
        "by what was taken. What was taken lies for 2 within the range, of 2 stages. In all 2.00 "
        "CPU-hours were foretold and 1.50 taken, a ratio of 1.33."
    ) in said
    assert "instructions 2 1.00 0.500 2.00 0.500 2.00 within the range" in said
    assert "feedback 1 1.00 0.500 2.00 1.00 1.00 within the range" in said
    assert "make calibrate" not in said and "cannot be compared" not in said


@pytest.mark.parametrize(
    ("changes", "told", "row"),
    [
        (
            [WHOLE, (FIRST, FIRST.replace("1800,", "1799,"))],
            "What was taken lies for 1 within the range and 1 below the range, of 2 stages.",
            "0.500 2.00 0.500 2.00 below the range",
        ),
        (
            [(PPO, "tiny,ppo,1,0,0,9,9,7201,")],
            "What was taken lies for 1 within the range and 1 above the range, of 2 stages.",
            "1 1.00 0.500 2.00 2.00 0.50 above the range",
        ),
        (
            [],
            "lies for 1 within the range, of 1 stage; 1 cannot be compared, and the last column "
            "says why. In all 1.00 CPU-hours were foretold and 0.500 taken",
            "2.00 – – a job was killed: the processor's time is known of its last run alone",
        ),
        (
            [WHOLE, (FIRST, FIRST.replace(",2,0,0", ",3,0,0"))],
            "of 1 stage; 1 cannot",
            "2 1.00 0.500 2.00 0.500 – 2 jobs foretold, 3 ran",
        ),
        (
            [WHOLE, (FIRST, FIRST.replace(",2,0,0", ",2,0,1"))],
            "of 1 stage; 1 cannot",
            "2.00 – – whether its jobs saw a GPU is not known",
        ),
        (
            [WHOLE, (FIRST, FIRST.replace("1800,", ","))],
            "of 1 stage; 1 cannot",
            "2.00 – – the processor's time is not known",
        ),
        ([WHOLE, ("tiny,instr", "other,instr")], "of 1 stage; 1 cannot", "no job of it ran"),
    ],
    ids=["less", "more", "killed", "other jobs", "unrecorded", "untimed", "none ran"],
)
def test_how_well_it_was_foretold_follows_from_the_numbers(
    tmp_path: Path, changes: list[tuple[str, str]], told: str, row: str
) -> None:
    make_account(tmp_path, ["tiny"])
    foretell(tmp_path)
    said = costs(tmp_path, *changes)
    assert told in said and row in said


def test_hours_of_gpus_are_compared_with_gpus_alone(tmp_path: Path) -> None:
    make_account(tmp_path, ["tiny"], gpus=GPUS)
    foretell(tmp_path, gpu=True)
    said = costs(tmp_path)
    assert "1 1.00 0.500 2.00 4.00 0.25 above the range" in said, "of a killed job too"
    assert "2 1.00 0.500 2.00 – – its jobs saw no GPU" in said
    assert "In all 1.00 GPU-hours were foretold and 4.00 taken, a ratio of 0.25." in said
    foretell(tmp_path)
    said = costs(tmp_path)
    assert "1 1.00 0.500 2.00 – – its jobs saw a GPU" in said and "make calibrate" not in said


def test_a_forecast_that_is_none_of_this_run(tmp_path: Path) -> None:
    make_account(tmp_path, ["tiny"])
    assert "not foretold: there is no forecast.json here." in costs(tmp_path)
    foretell(tmp_path, made="2026-01-31T12:00:01Z")
    assert "12:00:01Z, after the first job had begun, for Any CPU" in costs(tmp_path)
    foretell(tmp_path, gpu=True)
    said = costs(tmp_path)
    assert "No stage can be compared; the last column says why. Once `make calibrate` has" in said
    (tmp_path / "config.yaml").write_text("forecast:\n  machine: h100\nsizes: [3, 6]\n")
    assert "make calibrate" in costs(tmp_path), "rates are no other settings"
    (tmp_path / "config.yaml").write_text("sizes: [3, 7]\n")
    said = costs(tmp_path)
    assert "What forecast.json foretells is a run of other settings" in said
    assert "were foretold to take" not in said


def words(section: Html) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", section)).split())


def edited(folder: Path, **values: object) -> str:
    """The foot of a run whose provenance has other values."""
    path = folder / "provenance.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return words(provenance_section(account(folder)))


def test_hours_of_gpus(tmp_path: Path) -> None:
    make_account(tmp_path, ["tiny"], gpus=GPUS)
    said = words(cost_section(["tiny"], account(tmp_path)))
    # two hours on two GPUs; of the CPUs half an hour and one
    assert "3 jobs of tiny took 3.000 hours, 4.000 GPU-hours and 1.500 CPU-hours." in said
    assert "saw a GPU." not in said
    assert "stage 1: instructions 2 1.000 0.750 0.500 0.000 0.7 180 about 480" in said
    assert "stage 2: training on feedback 1 2.000 2.000 1.000 4.000 2.5 496 at most 120" in said
    assert "all stages 3 3.000 2.000 1.500 4.000 2.5 – –" in said
    assert "What the jobs of no one model took" in said and "shared 1 0.500 0.500 0.250" in said
    assert "That holds for 1 job of this run." in said
    assert said.index("stage 1: ") < said.index("stage 2: ")
    assert "about 20 days for 15,000 instructions, and at most 120 hours" in said


def test_a_run_without_a_gpu_has_hours_of_cpus_alone(tmp_path: Path) -> None:
    make_account(tmp_path, ["tiny"])
    said = words(cost_section(["tiny"], account(tmp_path)))
    assert "3 jobs of tiny took 3.000 hours and 1.500 CPU-hours. None of them saw a GPU." in said


@pytest.mark.parametrize(
    ("change", "said", "unsaid"),
    [
        ((",1,1,0,", ",1,0,0,"), "That holds for none of this run.", "1 job of this run"),
        ((",1,1,0,", ",1,1,1,"), "Whether 1 job saw a GPU is not known", "None of them saw"),
        ((",1,1,0,", ",1,1,1,"), "on feedback 1 2.000 2.000 1.000 – 2.5", "1.000 0.000 2.5"),
        ((",3600,0,0,2500.0,", ",,0,0,,"), "and CPU-hours that are not known", "nan"),
    ],
)
def test_what_is_said_follows_from_the_table(
    tmp_path: Path, change: tuple[str, str], said: str, unsaid: str
) -> None:
    make_account(tmp_path, ["tiny"])
    path = tmp_path / "cost.csv"
    text = path.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change))
    found = words(cost_section(["tiny"], account(tmp_path)))
    assert said in found and unsaid not in found


def test_the_foot_tells_code_machine_times_and_digests(tmp_path: Path) -> None:
    make_account(tmp_path, ["tiny"])
    said = words(provenance_section(account(tmp_path)))
    assert f"code : commit {'ab' * 20} machine" in said and "edited" not in said
    assert "machine : Linux x86_64, Any CPU, 2 cores, 16 GB, no GPU seen software" in said
    assert "software : Python 3.12.1, torch 2.9 first job began : 2026-01-31T12:00:00Z" in said
    assert "last job ended : 2026-01-31T15:30:00Z" in said
    digest = hashlib.sha256((tmp_path / "config.yaml").read_bytes()).hexdigest()[:16]
    assert f"SHA-256 of config.yaml, resolved : {digest}" in said
    assert "data.seeds seeds.jsonl 0123456789abcdef models.tiny.checkpoint a/b@1234567 –" in said
    assert "left no record" not in said


def test_the_foot_tells_each_kind_with_its_jobs(tmp_path: Path) -> None:
    make_account(tmp_path, ["tiny"])
    code = [
        {"commit": "ab" * 20, "dirty": True, "jobs": 3},
        {"commit": "", "dirty": False, "jobs": 1},
    ]
    machine = {"system": "Linux", "cpu": "C", "cores": 1, "memory_gb": 8, "gpus": GPUS, "jobs": 4}
    said = edited(tmp_path, code=code, machines=[machine], jobs_without_record=2)
    assert f"code : commit {'ab' * 20}, edited since (3 jobs) code : no git (1 job)" in said
    assert "machine : Linux, C, 1 core, 8 GB, 2 × NVIDIA A100 software" in said
    assert "2 jobs left no record." in said


def test_a_run_of_which_nothing_is_recorded(tmp_path: Path) -> None:
    make_account(tmp_path, ["tiny"])
    none: dict[str, list[object]] = {name: [] for name in ("code", "machines", "software")}
    said = edited(tmp_path, **none, first_job_began=None, last_job_ended=None)
    assert "code : – machine : – software : – first job began : – last job ended : –" in said


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("cost.csv", "model,stage\n", "not one column"),
        ("provenance.json", "{}", "'code' is no list of commit, dirty, jobs"),
        ("provenance.json", "[]", "not a JSON object"),
        ("forecast.json", '{"stages": 1}', "'stages' is no list of stages: 1"),
        ("forecast.json", '{"stages": [{"model": "tiny"}]}', "no 'stage' in"),
        ("forecast.json", '{"stages": []}', "no 'made' in"),
        ("forecast.json", FALLING, "tiny, ppo: no range of seconds"),
    ],
)
def test_a_damaged_account_is_told(tmp_path: Path, file: str, content: str, said: str) -> None:
    make_account(tmp_path, ["tiny"])
    (tmp_path / file).write_text(content)
    with pytest.raises(InputError, match=said) as fault:
        account(tmp_path)
    assert file in str(fault.value)


def test_names_from_files_are_escaped(tmp_path: Path) -> None:
    make_account(tmp_path, ["tiny"])
    path = tmp_path / "provenance.json"
    path.write_text(path.read_text().replace("Any CPU", "<script>"))
    assert "<script>" not in provenance_section(account(tmp_path))
