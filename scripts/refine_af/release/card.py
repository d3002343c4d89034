"""The release's card, a README for the hub: what it holds, how it was made, what it is not."""

from __future__ import annotations

from collections.abc import Sequence

from huggingface_hub import DatasetCardData

from refine_af.exports.card import WHY, WORDS
from refine_af.exports.formats import COUNTS
from refine_af.exports.markdown import size_category, table
from refine_af.exports.provenance import Publication
from refine_af.pages.markdown import code
from refine_af.release.part import Part
from refine_af.release.sections import columns, examples, figures, lengths, limits, scores
from refine_af.settings.release import Release

LICENSE_FILE = "LICENSE.md"
LOADING = """\
```python
from datasets import load_dataset

data = load_dataset("path/to/this/folder", "{name}", split="train")
```

```python
import pandas as pd

data = pd.read_parquet("path/to/this/folder/{name}")
```

The folder's name serves as well as its name on the hub.
"""
MADE = """\
From seed tasks that people wrote, a language model bootstraps new instructions; those that are
too like an earlier one are refused (Self-Instruct). Then it writes pairs of input and output for
them.
"""
TAUGHT = """\
By `refine-af` it is taught that first, by {algorithm} on automated feedback (REFINE-AF, [arXiv
2505.06548](https://arxiv.org/abs/2505.06548)).
"""
UNTAUGHT = "By `self-instruct` it does so as it was.\n"
UNCOMPARED = """
No row was compared with the texts that models are evaluated on: `overlaps` is null in every row.
"""
SCORED = """\
The pairs were scored after the fact: rewards did not decide which of them are here.

[config.yaml](config.yaml) holds every setting that these data depend on, [prompts/](prompts) the
prompts of instructions and pairs as they were.
"""


def card_of(
    settings: Release,
    origin: Publication,
    parts: Sequence[Part],
    components: Sequence[str],
    *,
    prose: tuple[str, Sequence[str]],
) -> str:
    """The card's text. `prose` is the citation, and the names of the figures' files."""
    citation, drawn = prose
    held = [part for part in parts if part.rows]
    rows = sum(part.rows for part in held)
    title = " ".join(settings.title.split())
    bodies = {
        "How to load it": LOADING.format(name=held[0].name),
        "What is in it": _contents(parts, parsed=origin.settings.get("diversity") is not None),
        "Examples": examples(held),
        "Lengths": f"{WORDS}Tokens are those of the model that wrote the row.\n\n{lengths(held)}",
        "Rewards and neighbours": scores(held),
        "How it was made": f"{_made(held, origin)}\n{sources(origin)}",
        "Why pairs were refused": _refusals(parts),
        "Limits": limits(held),
        "Figures": figures(drawn),
        "Columns": columns(components, settings.language),
        "Licence": licence(settings),
        "Citation": f"```bibtex\n{citation.strip()}\n```\n",
    }
    said = "".join(f"\n## {name}\n\n{body}" for name, body in bodies.items() if body)
    return f"{_head(settings, title, held, rows)}\n# {title}\n\n{_lead(held, rows)}{said}"


def _head(settings: Release, title: str, held: Sequence[Part], rows: int) -> str:
    """The metadata that the hub reads."""
    other = {"license_name": "see-sources", "license_link": LICENSE_FILE}
    metadata = DatasetCardData(
        pretty_name=title,
        **({"language": [settings.language]} if settings.language else {}),
        license=settings.license,
        **(other if settings.license == "other" else {}),
        annotations_creators=["machine-generated"],
        language_creators=["machine-generated"],
        task_categories=["text-generation"],
        tags=["synthetic", "instruction-tuning", "refine-af", "self-instruct"],
        size_categories=[size_category(rows)],
        source_datasets=["original"],
        configs=[
            {
                "config_name": part.name,
                "data_files": [{"split": "train", "path": f"{part.name}/*.parquet"}],
            }
            for part in held
        ],
    )
    return f"---\n{metadata}\n---\n"


def _lead(held: Sequence[Part], rows: int) -> str:
    models = list(dict.fromkeys(part.model for part in held))
    methods = list(dict.fromkeys(part.method for part in held))
    return (
        f"{rows:,} triplets of instruction, input and output, all written by language models: "
        f"{', '.join(map(code, models))}, by {', '.join(map(code, methods))}. They stand "
        "here as the models wrote them, unchecked: expect errors.\n"
    )


def _made(held: Sequence[Part], origin: Publication) -> str:
    methods = {part.method for part in held}
    algorithm = str(origin.settings["ppo"]["algorithm"]).upper()
    taught = TAUGHT.format(algorithm=algorithm) if "refine-af" in methods else ""
    return f"{MADE}{UNTAUGHT if 'self-instruct' in methods else ''}{taught}{SCORED}"


def _contents(parts: Sequence[Part], *, parsed: bool) -> str:
    rows = [
        [
            code(part.name),
            f"{part.rows:,}",
            f"{len(part.instructions):,}",
            f"{part.counts['instructions']:,}",
            f"{len(part.pairs):,}" if parsed else "–",
            f"{part.files}",
        ]
        for part in parts
    ]
    head = ["name", "rows", "instructions", "asked for", "pairs of verb and noun", "files"]
    without = [code(part.name) for part in parts if not part.rows]
    said = f"\nNo instance was kept of {', '.join(without)}: there is nothing to load.\n"
    said = said if without else ""
    said += "" if parsed else "\nNothing was parsed: `verb` and `noun` are null in every row.\n"
    said += "" if all(part.compared for part in parts) else UNCOMPARED
    return table(head, rows) + said


def sources(origin: Publication) -> str:
    """What the release was made from, with the licences that are stated."""
    rows = [
        [source.role, code(source.name), code(source.license) if source.license else "not stated"]
        for source in origin.sources
    ]
    return table(["what it did", "source", "its licence"], rows)


def _refusals(parts: Sequence[Part]) -> str:
    reasons = dict.fromkeys(name for part in parts for name in part.counts)
    told = [name for name in reasons if name not in COUNTS]
    rows = [
        [name, WHY.get(name, ""), *(f"{part.counts.get(name, 0):,}" for part in parts)]
        for name in told
    ]
    return table(["reason", "what it means", *(code(part.name) for part in parts)], rows)


def licence(settings: Release) -> str:
    """Under which terms the data is handed on, as far as anyone stated it."""
    stated = (
        "No licence of the whole is stated: `other`."
        if settings.license == "other"
        else f"Handed on under {code(settings.license)}, as who made this release states."
    )
    return (
        f"{stated} What a model writes comes under the terms of that model, and the seed tasks "
        "and prompts, which a model may repeat, have licences of their own: the table of "
        "sources. A program wrote this card, and has read none of them.\n"
    )
