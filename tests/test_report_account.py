"""What the report says of a run's cost and provenance follows from the run's own account."""

from __future__ import annotations

import hashlib
import html
import json
import re
from pathlib import Path

import pytest

from made_up_run import make_account
from refine_af.errors import InputError
from refine_af.report.account import Account, read_account
from refine_af.report.pages import Html
from refine_af.report.sections.cost import cost_section
from refine_af.report.sections.provenance import provenance_section

GPUS = ["NVIDIA A100", "NVIDIA A100"]


def account(folder: Path) -> Account:
    return read_account(folder / "cost.csv", folder / "provenance.json", folder / "config.yaml")


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
