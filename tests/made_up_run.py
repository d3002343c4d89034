"""A finished run in the formats of its files, with numbers that a reader can check by hand."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from refine_af.files.tables import write_table
from refine_af.ratings.items import QUESTIONS, Item, Key
from refine_af.ratings.returned import Returned
from refine_af.ratings.summary import COLUMNS, summary
from refine_af.records.cells import method_and_size
from refine_af.settings.ratings import Summary

METHODS = ("self-instruct", "refine-af")
SETTINGS = '{"seed":0,"confidence":0.95,"resamples":2000,"count_wins_over":"tasks",'
SETTINGS += '"span":3,"verbs":3,"nouns":2,"examples":2}'
WEIGHTS = '{"reward_model":0.0078,"naturalness":0.3212,"coherence":0.152,'  # of Eq. 1
WEIGHTS += '"understandability":-0.4421,"constant":-0.0274,"unparseable":-0.6}'
BOUNDS = '{"ngram":13,"rouge_l":"0.7","min_words":3}'
SUBSETS = '{"count":"instructions","order":"random","pool":9,"seed":4}'
RATINGS = '{"seed":0,"confidence":0.95,"resamples":2000}'
PAPER = Path(__file__).resolve().parents[1] / "resources" / "paper"
TABLE = "method,size,cell,task,category,instances,rouge_l,exact_match,reply_words,eos_share"
CELLS = tuple(f"{method}_{size}" for method in METHODS for size in (3, 6))
COMPONENTS = ("reward_model", "naturalness", "coherence", "understandability")


def make_run(
    folder: Path,
    models: Sequence[str] = ("tiny",),
    *,
    truth: bool = True,
    rated: bool = False,
    checked: bool = False,
) -> list[str]:
    """Write every file that the report reads; the flags that name them, outputs under `folder`."""
    came_back = [str(folder / f"ratings_{model}.csv") for model in models if rated]
    for path in came_back:
        make_ratings(Path(path))
    for model in models:
        make_pool(folder, model)
        make_neighbours(folder / f"neighbours_{model}.jsonl")
        make_ppo(folder / f"ppo_{model}")
        make_tuned(folder / f"sft_{model}")
        for method in METHODS:
            make_instances(folder, model, method)
        make_diversity(folder / f"diversity_{model}")
        make_scores(folder / f"superni_{model}.csv")
        make_instance_scores(folder / f"scores_{model}.csv")
        if truth:
            half = {"prompts": 8, "parsed": 7, "checked": 4, "true": 1, "junk": 2}
            whole = {"prompts": 8, "parsed": 8, "checked": 5, "true": 3, "junk": 1}
            counts = {
                "before": half | {"answers": marks("-jj.....", "--10-00-")},
                "after": whole | {"answers": marks("j.......", "011-1-0-")},
            }
            write_json(folder / f"truth_{model}.json", counts)
    make_account(folder, models)
    segments = [folder / f"pool_{model}/{k}" for model in models for k in (0, 1)]
    instances = [
        folder / f"instances_{model}_{method}/{k}"
        for model in models
        for method in METHODS
        for k in (0, 1)
    ]
    overlaps = [
        folder / f"overlap_{model}_{method}/{k}.jsonl"
        for model in models
        for method in METHODS
        for k in (0, 1)
    ]
    return [
        *(
            "--settings",
            SETTINGS,
            "--weights",
            WEIGHTS,
            "--subsets",
            SUBSETS,
            "--bounds",
            BOUNDS,
            "--rating-settings",
            RATINGS,
        ),
        *("--models", *models, "--methods", *METHODS, "--algorithm", "ppo"),
        *("--rated", *(models if rated else ()), "--ratings", *came_back),
        *("--pools", *map(str, segments)),
        *("--neighbours", *(str(folder / f"neighbours_{model}.jsonl") for model in models)),
        *("--ppo", *(str(folder / f"ppo_{model}") for model in models)),
        *(
            "--adapters",
            *(str(folder / f"sft_{model}" / name) for model in models for name in CELLS),
        ),
        *("--instances", *map(str, instances)),
        *("--overlaps", *map(str, overlaps)),
        *("--tables", *(str(folder / f"superni_{model}.csv") for model in models)),
        *("--scores", *(str(folder / f"scores_{model}.csv") for model in models)),
        *("--truths", *(str(folder / f"truth_{model}.json") for model in models if truth)),
        *("--checkable", *([make_right_answers(folder / "checkable.csv")] if checked else ())),
        *("--diversity", *(str(folder / f"diversity_{model}") for model in models)),
        *("--paper", *map(str, sorted(PAPER.glob("*.csv")))),
        *("--cost", str(folder / "cost.csv"), "--provenance", str(folder / "provenance.json")),
        *("--configuration", str(folder / "config.yaml")),
        *("--forecast", str(folder / "forecast.json")),
        *("--report", str(folder / "report.html"), "--figures", str(folder / "figures")),
    ]


def make_right_answers(path: Path) -> str:
    """Of two kinds of two instructions: the untuned model has one right, the tuned one three."""
    rows = [
        ("tiny", cell, kind, asked, right, right / asked, 0.1, 0.9)
        for cell, counts in (("base", (1, 1, 0)), ("refine-af_6", (3, 2, 1)))
        for kind, asked, right in zip(("all", "add", "sort_up"), (4, 2, 2), counts, strict=True)
    ]
    write_csv(path, "model,cell,solver,instructions,right,share,low,high", rows)
    return str(path)


def make_pool(folder: Path, model: str) -> None:
    """Two segments of 3 instructions: 4 requests, 12 items, 7 accepted, 4 similar, 1 short."""
    for k, rounds in enumerate(([(6, 4, 2, 0)], [(6, 3, 2, 1)])):
        segment = folder / f"pool_{model}/{k}"
        rows = [instruction(3 * k + place) for place in range(3)]
        write_rows(segment / "instructions.jsonl", rows)
        similar = {"reason": "similar", "text": "Say it again, please."}
        rejected = [{"round": k, "request": 0, **similar, "nearest": "seed_0", "rouge_l": 0.75}]
        short = {"reason": "too short", "text": "Go.", "nearest": None, "rouge_l": None}
        rejected += [{"round": k, "request": 1, **short}] * k
        write_rows(segment / "rejected.jsonl", rejected)
        write_csv(
            segment / "rounds.csv",
            "round,requested,parsed,accepted,rejected,similar,too short,tokens,cut,unwritten,"
            "dropped",
            [
                (k, 2, texts, kept, texts - kept, similar, short, 90, k, 4 * k, 30 * k)
                for texts, kept, similar, short in rounds
            ],
        )


def make_neighbours(path: Path, references: Sequence[float] | None = None) -> None:
    """The neighbours of those six: seeds at 0.25, and by `references` a nearest text each."""
    reached = [None] * 6 if references is None else references
    rows = [
        {"id": f"i{place:06}", "nearest_seed": "seed_task_1", "seed_rouge_l": 0.25}
        | {"nearest_reference": "Name a river." if value else None, "reference_rouge_l": value}
        for place, value in enumerate(reached)
    ]
    write_rows(path, rows)


def make_ppo(folder: Path, *, alarm: bool = False, falls: bool = False) -> None:
    """Five steps, one of which may raise an alarm, and 8 prompts whose rewards rise by .25 or .5.

    With `falls` the steps' rewards are in the opposite order, and those of prompts fall by as much.

    The parse rate rises at every step, the reward of what parsed falls and is not known of the
    third. One answer parses only after. The KL grows by 0.5 a step and the entropy falls by 0.25,
    the share of clipped tokens is not known, and coherence is of no reply in the third step.
    """
    columns = {
        "step": (1, 2, 3, 4, 5),
        "reward_mean": (0.1, 0.2, 0.15, 0.3, 0.4)[:: -1 if falls else 1],
        "reward_sd": (0.1,) * 5,
        "coherence_mean": (0.25, 0.5, "", 0.5, 0.75),
        "coherence_sd": (0.125,) * 5,
        "kl": (0.0, 0.5, 1.0, 1.5, 2.0),
        "entropy": (2.0, 1.75, 1.5, 1.25, 1.0),
        "clip_fraction": ("",) * 5,
        "value_loss": (0.5,) * 5,
        "response_length": (20.0, 24.0, 24.0, 24.0, 28.0),
        "parse_rate": (0.5, 0.6, 0.7, 0.8, 0.9),
        "reward_parsed": (0.5, 0.4, "", 0.4, 0.3),
    }
    rows = list(zip(*columns.values(), strict=True))
    write_csv(folder / "metrics.csv", ",".join(columns), rows)
    write_csv(
        folder / "alarms.csv",
        "name,step,value,bound,words",
        [("KL", 4, 9.5, 8.0, "the KL was 9.5 nats a reply")] if alarm else [],
    )
    before = [answer("before", place, 0.25, parsed=place > 0) for place in range(8)]
    after = [answer("after", place, 0.75 if place % 2 else 0.5) for place in range(8)]
    if falls:
        for first, last in zip(before, after, strict=True):
            last["reward"] = 2 * first["reward"] - last["reward"]
    write_rows(folder / "evaluation.jsonl", before + after)


PAIRS = [("name", "river", 2), ("name", "lake", 1), ("write", "$<b>poem&\u202e", 1)]


def make_diversity(folder: Path, pairs: Sequence[tuple[str, str, int]] = PAIRS) -> None:
    """Of six instructions four have a pair, of which one stands twice; one was too long."""
    write_csv(folder / "pairs.csv", "verb,noun,instructions", pairs)
    counts = {"instructions": 6, "parsed": 5, "verbless": 0, "objectless": 1, "with_pair": 4}
    counts |= {"unique_pairs": len(pairs)}
    parser = {"backend": "benepar", "name": "small", "digest": "c" * 64, "versions": {"nltk": "3"}}
    unparsed = {"empty": 0, "too long": 1, "unreadable": 0}
    write_json(folder / "summary.json", {**counts, "unparsed": unparsed, "parser": parser})


def make_tuned(folder: Path) -> None:
    """Four cells of 20 updates in two epochs: the loss falls from 2 to 1, or for one rises to 3."""
    for name in CELLS:
        last = 3.0 if name == "refine-af_6" else 1.0
        losses = [2.0] * 2 + [1.5] * 16 + [last] * 2
        write_csv(
            folder / name / "history.csv",
            "step,epoch,loss,learning_rate",
            [(step, step / 10, loss, 1e-4) for step, loss in enumerate(losses, 1)],
        )
        tokens = {"instances": 4, "tokens": 1200, "completion_tokens": 400}
        write_json(folder / name / "summary.json", tokens)


def make_account(folder: Path, models: Sequence[str], *, gpus: Sequence[str] = ()) -> None:
    """Costs: of no model half an hour; of each stage 1 an hour, and PPO two, one of them before.

    Of them a job is resumed and, where there are `gpus`, sees them; CPU time is half the hours.
    """
    head = "model,stage,jobs,resumed,unrecorded,seconds,longest_s,cpu_s,gpus,gpu_s,memory_mb,tokens"
    rows: list[Sequence[object]] = [("", "shared", 1, 0, 0, 1800, 1800, 900, 0, 0, 500.0, "")]
    for model in models:
        gpu = len(gpus)
        rows.append((model, "instructions", 2, 0, 0, 3600, 2700, 1800, 0, 0, 700.0, 180))
        rows.append((model, "ppo", 1, 1, 0, 7200, 7200, 3600, gpu, 7200 * gpu, 2500.0, 496))
    write_csv(folder / "cost.csv", head, rows)
    machine = {"system": "Linux x86_64", "cpu": "Any CPU", "cores": 2, "memory_gb": 16}
    found = {
        "first_job_began": "2026-01-31T12:00:00Z",
        "last_job_ended": "2026-01-31T15:30:00Z",
        "jobs": 1 + 3 * len(models),
        "jobs_without_record": 0,
        "code": [{"commit": "ab" * 20, "dirty": False, "jobs": 1 + 3 * len(models)}],
        "machines": [{**machine, "gpus": list(gpus), "jobs": 1 + 3 * len(models)}],
        "software": [{"python": "3.12.1", "libraries": {"torch": "2.9"}, "jobs": 4}],
        "origins": [
            {"what": "data.seeds", "name": "seeds.jsonl", "sha256": "0123456789abcdef" * 4},
            {"what": "models.tiny.checkpoint", "name": "a/b@1234567", "sha256": ""},
        ],
    }
    write_json(folder / "provenance.json", found)
    (folder / "config.yaml").write_text("sizes: [3, 6]\n")


def make_instances(folder: Path, model: str, method: str) -> None:
    """Two segments of 3 instructions: 5 replies parsed, 4 instances, 1 of them without input.

    By refine-af every second one has 0.5 more reward, and the second one overlaps; self-instruct
    took an instruction of each segment for a classification task.
    """
    for k in (0, 1):
        segment = folder / f"instances_{model}_{method}/{k}"
        rows = [
            instance(method, 3 * k + place, text="" if k and place else "one two three")
            for place in range(2)
        ]
        write_rows(segment / "instances.jsonl", rows)
        write_rows(segment / "rejected.jsonl", [])
        near = [method == "refine-af" and not k and bool(place) for place in range(2)]
        write_rows(
            folder / f"overlap_{model}_{method}/{k}.jsonl",
            [overlap(row["id"], each) for row, each in zip(rows, near, strict=True)],
        )
        write_csv(
            segment / "counts.csv",
            "instructions,classification,parsed,kept,no output,empty output",
            [(3, int(method == "self-instruct"), 2 + k, 2, 1 - k, k)],
        )


def make_ratings(path: Path) -> None:
    """What the summary tells of Anna and Ben, who rate four replies by each method.

    Anna gives self-instruct A, B, C, D and refine-af A, A, B, C; Ben B, B, C, D and A, A, B, B.
    Anna reviews two instances of each: 2, 1 and 0 yes to the questions, and 2, 2 and 1.
    """
    grades = {"Anna": ("ABCD", "AABC"), "Ben": ("BBCD", "AABB")}
    review = {
        "self-instruct": ("yes no no", "yes yes no"),
        "refine-af": ("yes yes yes", "yes yes no"),
    }
    items = {
        "ratings": {f"{m}{n}": Item(m, f"user_{n}") for m in METHODS for n in range(4)},
        "review": {f"{m}-{n}": Item(m, f"i{n}") for m in METHODS for n in range(2)},
    }
    given = {
        rater: {
            (f"{method}{n}", "rating"): grade
            for method, each in zip(METHODS, both, strict=True)
            for n, grade in enumerate(each)
        }
        for rater, both in grades.items()
    }
    given["Anna"] |= {
        (f"{method}-{n}", question): answer
        for method, each in review.items()
        for n, answers in enumerate(each)
        for question, answer in zip(QUESTIONS["review"], answers.split(), strict=True)
    }
    raters = [Returned(path, rater, answers) for rater, answers in given.items()]
    settings = Summary.model_validate_json(RATINGS)
    write_table(path, COLUMNS, summary(raters, Key("", "tiny", METHODS, items), settings))


def make_scores(path: Path) -> None:
    """Three tasks of 1, 1 and 2 instances in two categories; at 6 refine-af wins, ties, loses."""
    scores = {
        "base": (4, 8, 6),
        "base-few-shot": (12, 12, 12),
        "copy-demonstration": (9, 9, 9),
        "empty": (0, 0, 0),
        "self-instruct_3": (10, 20, 15),
        "self-instruct_6": (10, 20, 30),
        "refine-af_3": (11, 21, 16),
        "refine-af_6": (18, 20, 25),
    }
    tasks = (("task1", "word_naming", 1), ("task2", "word_naming", 1), ("task3", "copying", 2))
    write_csv(
        path,
        TABLE,
        [
            (
                *method_and_size(cell),
                cell,
                task,
                category,
                instances,
                rouge_l,
                rouge_l / 2,
                4.0,
                0.75,
            )
            for cell, values in scores.items()
            for (task, category, instances), rouge_l in zip(tasks, values, strict=True)
        ],
    )


def make_instance_scores(path: Path) -> None:
    """The instances of those tasks; from self-instruct to refine-af at 6 by +8, 0, −3 and −7."""
    cells = ("self-instruct_3", "self-instruct_6", "refine-af_3", "refine-af_6")
    scores = [(10, 10, 11, 18), (20, 20, 21, 20), (15, 30, 16, 27), (15, 30, 16, 23)]
    rows = [
        (f"i{place}", f"task{task}", *row)
        for place, (task, row) in enumerate(zip((1, 2, 3, 3), scores, strict=True))
    ]
    write_csv(path, ",".join(["id", "task", *cells]), rows)


def make_comparison(folder: Path, differences: Mapping[str, Sequence[float]]) -> None:
    """Scores of tasks with an instance each, by size refine-af's less self-instruct's 20.

    It takes the place of `make_scores` and `make_instance_scores`; base has 5 everywhere.
    """
    cells: dict[str, Sequence[float]] = {}
    for size, apart in differences.items():
        cells[f"self-instruct_{size}"] = [20.0] * len(apart)
        cells[f"refine-af_{size}"] = [20.0 + difference for difference in apart]
    make_cells(folder, cells)


def make_cells(folder: Path, cells: Mapping[str, Sequence[float]]) -> None:
    """Scores of tasks with an instance each, by tuned cell; base has 5 everywhere."""
    tasks = [f"task{place}" for place in range(len(next(iter(cells.values()))))]
    write_csv(
        folder / "superni_tiny.csv",
        TABLE,
        [
            (*method_and_size(cell), cell, task, "c", 1, score, 0.0, 4.0, 0.75)
            for cell, scores in {"base": [5.0] * len(tasks), **cells}.items()
            for task, score in zip(tasks, scores, strict=True)
        ],
    )
    columns = [[f"i{task}" for task in tasks], tasks, *cells.values()]
    rows = list(zip(*columns, strict=True))
    write_csv(folder / "scores_tiny.csv", ",".join(["id", "task", *cells]), rows)


def marks(junk: str, right: str) -> list[dict[str, bool | None]]:
    """Marks of answers, a character each: `-` where there is none."""
    known = {"-": None, "j": True, ".": False, "1": True, "0": False}
    return [{"junk": known[a], "true": known[b]} for a, b in zip(junk, right, strict=True)]


def instruction(place: int, text: str | None = None) -> dict[str, Any]:
    return {
        "id": f"i{place:06}",
        "instruction": text or f"Name the river number {place}.",
        "round": 0,
        "request": 0,
        "demonstrations": [],
        "nearest": "seed_task_1",
        "nearest_seed": "seed_task_1",
        "seed_rouge_l": 0.25,
        "prompt_tokens": 90,
        "reply_tokens": 40,
        "rouge_l": 0.5,
    }


def answer(when: str, place: int, reward: float, *, parsed: bool = True) -> dict[str, Any]:
    return {
        "when": when,
        "instruction_id": f"i{place:06}",
        "instruction": f"Name the river number {place}.",
        "completion": "Input: a map\nOutput: the Nile",
        "input": "a map" if parsed else None,
        "output": "the Nile" if parsed else None,
        "reward": reward,
        "components": dict.fromkeys(COMPONENTS, 0.5) if parsed else None,
    }


def instance(method: str, place: int, *, text: str) -> dict[str, Any]:
    return {
        "id": f"i{place:06}-0",
        "instruction_id": f"i{place:06}",
        "method": method,
        "instruction": f"Name the river number {place}.",
        "input": text,
        "output": "four words are here",
        "adapter_sha256": "0" * 64 if method == "refine-af" else "",
        "reward": 0.75 if method == "refine-af" and place % 3 else 0.25,
        "components": dict.fromkeys(COMPONENTS, 0.5),
    }


def overlap(identity: str, near: bool, source: str = "user_oriented_task_3") -> dict[str, Any]:
    return {
        "id": identity,
        "ngrams": 2 * near,
        "ngram_source": source if near else None,
        "instruction_rouge_l": 0.8 if near else 0.25,
        "instruction_source": source,
        "input_rouge_l": 0.75 if near else 0.0,
        "input_source": source if near else None,
        "overlaps": near,
    }


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))


def write_csv(path: Path, head: str, rows: Sequence[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([head.split(","), *rows])
