"""The parts of the release's card that tell its rows: numbers, limits, columns, examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from refine_af.exports.markdown import plain_json, share, spread, table
from refine_af.pages.markdown import code, fenced
from refine_af.release.part import LENGTHS, Part

SHOWN = ("id", "instruction", "input", "output", "reward", "overlaps")
LONGEST = 600  # characters of a text among the examples
FIGURES = {
    "lengths": "How long instructions, inputs and outputs are, in words",
    "nearest_seeds": "Each instruction's highest ROUGE-L with a seed",
    "nearest_references": "Each instruction's highest ROUGE-L with the reference set",
    "diversity": "The verbs with the most instructions, and their nouns",
    "instructions": "The share of each round's items that the pool accepted",
    "ppo": "The reward of each step of training on feedback",
    "curves": "What else each of these steps measured",
    "sft": "The loss of fine-tuning on these data, by the number of instructions",
    "superni": "Zero-shot ROUGE-L of models tuned on these data, by the number of instructions",
    "ratings": "How people rated the replies of models tuned on these data",
}
COLUMNS = """\
| column | what it is |
|---|---|
| `id`, `instruction_id` | the row's number among those of its model and method, and its instruction's |
| `model`, `method` | who wrote the row, and how: `self-instruct` or `refine-af` |
| `instruction`, `input`, `output` | the triplet, as Alpaca names it; `input` is empty where none is needed |
| `messages` | the same as a chat: a turn of the user, the instruction and after an empty line the input where there is one, and a turn of the assistant, the output |
| `reward` | the weighted sum of the scores, which REFINE-AF's training maximises |
| {scores} | what the reward is the sum of |
| `nearest_id`, `nearest_instruction`, `nearest_rouge_l` | what the instruction was nearest to among the seeds and the instructions before it, and their ROUGE-L F1, from 0 to 1 |
| `nearest_seed_id`, `nearest_seed`, `seed_rouge_l` | the same among the seeds alone |
| `nearest_reference`, `reference_rouge_l` | the same among the reference set; null where there was none, or no word is shared |
| `…_words`, `…_tokens` | lengths of `instruction`, `input` and `output`; tokens of the model's own tokenizer, without special ones |
| `overlaps` | whether the row overlaps with a text that the run's models are evaluated on, by the bounds of `overlap` in config.yaml; null where nothing was compared |
| `overlap_ngrams`, `overlap_instruction_rouge_l`, `overlap_input_rouge_l` | by how much: n-grams that stand there too, and the highest ROUGE-L F1; null likewise |
| `verb`, `noun` | of the instruction's first sentence, as lemmas, found by a parser of English; null where it has none, or nothing was parsed |
| `language` | {language} |
| `template` | which form of prompt the row answers |
| `adapter_sha256` | of the weights of the adapter that wrote the row, empty for none |

All names of models and methods have the same columns of the same kinds.
"""  # noqa: E501


def lengths(parts: Sequence[Part]) -> str:
    """Mean lengths of each part, of inputs where there is one."""
    rows = []
    for part in parts:
        found = [part.numbers[name] for name in LENGTHS]
        given = [
            [n for n in values if n] if "input" in name else values
            for name, values in zip(LENGTHS, found, strict=True)
        ]
        rows.append([code(part.name), *(spread(values, 1)[0] for values in given)])
    head = [name.replace("_", ", ") for name in LENGTHS]
    return table(["mean", *head], rows) + "\nMeans of inputs are of rows that have one.\n"


def scores(parts: Sequence[Part]) -> str:
    """Spread of rewards and of how near the instructions are to the seeds."""
    rows = [
        [code(part.name), said, *spread(part.numbers[name], 3)]
        for name, said in (("reward", "reward"), ("seed_rouge_l", "ROUGE-L with the nearest seed"))
        for part in parts
    ]
    return table(["", "", "mean", "sd", "least", "median", "most"], rows)


def limits(parts: Sequence[Part]) -> str:
    """What the rows are not, in numbers."""
    rows = [
        [
            code(part.name),
            _of(part.overlapping, part.rows) if part.compared else "not compared",
            _of(part.rows - len(part.outputs), part.rows),
            _of(part.counts["instructions"] - len(part.instructions), part.counts["instructions"]),
            f"{part.mended:,}",
        ]
        for part in parts
    ]
    head = ["", "rows that overlap with the evaluation sets"]
    head += ["rows whose output an earlier row has too", "instructions without a row"]
    shared = len({part.method for part in parts}) > 1
    leak = "A model's methods write to the same instructions: a split by rows leaks. "
    return (
        f"{leak if shared else ''}Nothing was looked for but what this table counts: no harm, no "
        "bias, no fact, no person's name.\n\n"
        f"{table([*head, 'rows with U+FFFD for half a character'], rows)}"
    )


def figures(names: Sequence[str]) -> str:
    """The figures' files, below what they are."""
    return "\n".join(f"{_caption(name)}:\n\n![{name}](figures/{name})\n" for name in names)


def columns(components: Sequence[str], language: str | None) -> str:
    """What each column is."""
    stated = f"`{language}`, as who made this release states; no text was looked at"
    return COLUMNS.format(
        scores=", ".join(f"`score_{name}`" for name in components),
        language=stated if language else "null: none is stated",
    )


def examples(parts: Sequence[Part]) -> str:
    """Rows at random, as JSON in a block of code: no text is markup, or hides a character."""
    return "\n".join(
        f"{code(part.name)}:\n\n"
        + fenced("\n".join(plain_json(_cut(row)) for row in part.examples), "json")
        for part in parts
        if part.examples
    )


def _cut(row: dict[str, Any]) -> dict[str, Any]:
    shown = {name: row[name] for name in SHOWN}
    return {
        name: f"{value[: LONGEST - 1]}…"
        if isinstance(value, str) and len(value) > LONGEST
        else value
        for name, value in shown.items()
    }


def _of(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,} ({share(part, whole)})"


def _caption(name: str) -> str:
    stem = name.removesuffix(".png")
    kind = next((kind for kind in FIGURES if stem.startswith(f"{kind}_")), None)
    return f"{FIGURES[kind]}: {stem.removeprefix(f'{kind}_')}" if kind else stem
