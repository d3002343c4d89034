"""A data set's card, a README for the hub: what is in it, how it came about, how to load it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from huggingface_hub import DatasetCardData

from refine_af.exports.formats import COUNTS
from refine_af.exports.markdown import share, size_category, spread, table
from refine_af.exports.provenance import Provenance
from refine_af.pages.markdown import code, fenced
from refine_af.records.instances import Instance
from refine_af.records.subsets import in_words
from refine_af.rewards.equation_1 import JUDGES, judges_of
from refine_af.settings.reward import Reward
from refine_af.words import words_of

WHY = {
    "no output": "the reply names neither an example nor an output, or no class label",
    "truncated": "the length limit cut the pair",
    "input equals output": "the output repeats the input",
    "empty output": "nothing follows `Output:` or `Class label:`",
    "ends with colon": "input or output is unfinished",
    "contradictory": "one reply gives the same input different outputs",
    "duplicate": "one reply holds the pair twice",
    "surplus": "sound, beyond the pairs that are kept of an instruction",
}
FIELDS = """\
| column | what it is |
|---|---|
| `id` | `instruction_id`, a dash and the number of the pair among those of its instruction |
| `instruction_id` | the line of the pool of instructions, `i000000` its first |
| `method` | `self-instruct`: the base model wrote the pair; `refine-af`: with a trained adapter |
| `instruction`, `input`, `output` | the triplet; `input` is empty where none is needed |
| `adapter_sha256` | of the weights of the adapter that wrote the pair, empty for none |
| `reward` | the weighted sum of the components, which REFINE-AF's training maximises |
| `components` | the triplet's scores by name, those of the table above |
| `template` | the prompt that the pair answers: `input first`, or `output first` as for \
classification tasks |

Rewards did not decide which pairs are here: both methods are scored alike, after the fact.
"""
SCORERS = {  # what the components of each of the project's scorers are
    JUDGES: " `reward_model` is the model's score, the others are the evaluator's, from 0 to 1.",
    "likelihood": " `pmi` is how much instruction and input raise the output's mean "
    "log-probability, `fluency` is that of the output by itself, both in nats a token; the "
    "untrained model itself says so where no other is named.",
    "sequence_classifier": " `reward_model` is the model's score, as it gives it.",
    "llm_judge": " `judge` is the number of the prompt's scale that the model answers, the mean by "
    "probability where its server tells that.",
}
WORDS = """\
Words are parted by white space. In a script without any, as in Chinese or Thai, each letter is one.
"""
LOADING = """\
```python
from datasets import load_dataset

data = load_dataset("path/to/this/folder", split="train")
```

`alpaca.json` holds the same triplets in Alpaca's format, a list of objects with `instruction`,
`input` and `output`.
"""


def card_of(
    origin: Provenance,
    method: str,
    instances: Sequence[Instance],
    counts: Mapping[str, int],
    *,
    data_file: str,
    mended: int,
) -> str:
    """The card's text. `counts` are sums over the segments, `mended` counts instances."""
    parts = [
        _head(origin, method, len(instances), data_file),
        f"# {origin.model}, {method}\n",
        f"{len(instances):,} triplets of instruction, input and output, all written by a language "
        f"model, {_writer(origin, method)}. No person has checked them: expect errors.\n",
        f"## How to load it\n\n{LOADING}",
        f"## Counts\n\n{_yields(counts, instances)}",
        f"## Why pairs were refused\n\n{_refusals(counts)}",
        f"## Words\n\n{WORDS}\n{_lengths(instances)}",
        f"## Rewards\n\n{_rewards(instances, origin.reward)}",
        f"## Columns\n\n{FIELDS}",
        f"## Characters\n\n{_characters(mended)}",
        f"## How it came about\n\n{_origin(origin, method, instances)}",
        f"## Licence\n\n{_licence(origin)}",
    ]
    return "\n".join(parts)


def _head(origin: Provenance, method: str, count: int, data_file: str) -> str:
    """The metadata that the hub reads."""
    metadata = DatasetCardData(
        pretty_name=f"{origin.model}, {method}",
        license="other",
        task_categories=["text-generation"],
        tags=["synthetic", "instruction-tuning"],
        size_categories=[size_category(count)],
        configs=[{"config_name": "default", "data_files": [{"split": "train", "path": data_file}]}],
    )
    return f"---\n{metadata}\n---\n"


def _writer(origin: Provenance, method: str) -> str:
    algorithm = origin.ppo.algorithm.upper()
    with_adapter = f", with an adapter trained by {algorithm} on automated feedback (REFINE-AF)"
    return code(origin.checkpoint) + (with_adapter if method == "refine-af" else " (Self-Instruct)")


def _yields(counts: Mapping[str, int], instances: Sequence[Instance]) -> str:
    instructions = counts["instructions"]
    answered = len({row.instruction_id for row in instances})
    empty = sum(not row.input for row in instances)
    tasks = counts["classification"]
    named = "of these as classification tasks, output first"
    return table(
        ["", "", "share"],
        [
            ["instructions asked for", f"{instructions:,}", ""],
            *([[named, f"{tasks:,}", share(tasks, instructions)]] if tasks else []),
            [
                "replies that held a pair",
                f"{counts['parsed']:,}",
                share(counts["parsed"], instructions),
            ],
            ["instructions with an instance", f"{answered:,}", share(answered, instructions)],
            ["instances", f"{len(instances):,}", ""],
            ["of these without input", f"{empty:,}", share(empty, len(instances))],
        ],
    )


def _refusals(counts: Mapping[str, int]) -> str:
    reasons = [name for name in counts if name not in COUNTS]
    rows = [[name, WHY.get(name, ""), f"{counts[name]:,}"] for name in reasons]
    return table(["reason", "what it means", "how often"], rows)


def _lengths(instances: Sequence[Instance]) -> str:
    texts = {
        "instruction": list({row.instruction_id: row.instruction for row in instances}.values()),
        "input, where there is one": [row.input for row in instances if row.input],
        "output": [row.output for row in instances],
    }
    rows = []
    for name, found in texts.items():
        words = [len(words_of(text)) for text in found]
        rows.append([name, f"{len(words):,}", *spread(words, 1)])
    return table(["", "texts", "mean", "sd", "least", "median", "most"], rows)


def _rewards(instances: Sequence[Instance], reward: Reward) -> str:
    columns = {"reward": [row.reward for row in instances]}
    for name in instances[0].components:
        columns[name] = [row.components[name] for row in instances]
    rows = [[f"`{name}`", *spread(values, 4)] for name, values in columns.items()]
    return f"{table(['', 'mean', 'sd', 'least', 'median', 'most'], rows)}\n{_scorer(reward)}"


def _scorer(reward: Reward) -> str:
    named = judges_of(reward)
    if reward.llm_judge:
        named = {"model": reward.llm_judge.server, "prompt": reward.llm_judge.prompt}
    given = ", ".join(f"{key} {code(name)}" for key, name in named.items())
    said = f"The components are given by {code(reward.scorer)}{f': {given}' if given else ''}."
    return f"{said}{SCORERS.get(reward.scorer, '')}\n"


def _characters(mended: int) -> str:
    held = f"{mended:,} instances held" if mended else "No instance held"
    return (
        f"{held} half a character (a lone surrogate), for which U+FFFD stands here: UTF-8 has no "
        "place for one. Every other character is as the model wrote it.\n"
    )


def _origin(origin: Provenance, method: str, instances: Sequence[Instance]) -> str:
    whole = origin.model_dump(mode="json")
    told = ["instructions", "instances", "reward", *(["ppo"] if method == "refine-af" else [])]
    stages = {section: whole[section] for section in told}
    text = json.dumps(stages, indent=2, ensure_ascii=True, sort_keys=True)
    rows = [
        ["model", code(origin.checkpoint)],
        ["prompts", "turns of the model's chat template" if origin.chat else "plain text"],
        ["seed tasks", code(origin.seeds)],
        ["prompt for the pairs", code(origin.prompt)],
        *_branch(origin, method),
        ["what models are tuned on", in_words(origin.subsets)],
        ["seed of the instructions", f"{origin.instructions.seed}"],
        ["seed of the pairs", f"{origin.instances.seed}"],
    ]
    if method == "refine-af":
        rows.append([f"seed of {origin.ppo.algorithm.upper()}", f"{origin.ppo.seed}"])
        digests = sorted({row.adapter_sha256 for row in instances})
        rows.append(["sha256 of the adapter's weights", ", ".join(map(code, digests))])
    return f"{table(['', ''], rows)}\nAll settings:\n\n{fenced(text, 'json')}"


def _branch(origin: Provenance, method: str) -> list[list[str]]:
    """How classification tasks were told and asked, where the method has a branch for them."""
    branch = origin.instances.classification
    if branch is None or method not in branch.methods:
        return []
    return [
        ["prompt that tells classification tasks", code(origin.classification)],
        ["prompt for their pairs", code(origin.output_first)],
    ]


def _licence(origin: Provenance) -> str:
    return (
        f"What a model writes comes under the terms of that model, {code(origin.checkpoint)}. "
        "This card was written by a program that has not read them, and says `license: other` for "
        "that reason: read them, and state them here, before you hand this data on. The seed tasks "
        f"({code(origin.seeds)}) and the prompt ({code(origin.prompt)}), which a model may "
        "repeat, have licences of their own.\n"
    )
