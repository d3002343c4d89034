"""Supervised fine-tuning: the instances of a backbone's first instructions train a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refine_af.errors import InputError
from refine_af.files.documents import read_document, write_json
from refine_af.files.landing import whole_folder
from refine_af.files.rows import read_records
from refine_af.files.tables import write_table
from refine_af.jobs.command_line import run
from refine_af.jobs.curves import Curves
from refine_af.jobs.scratch import Given, fingerprint, resumable
from refine_af.jobs.sources import code_digest
from refine_af.records.human_tasks import read_seed_instances
from refine_af.records.instances import Instance
from refine_af.records.subsets import chosen, in_words
from refine_af.settings.compute import SftMachine
from refine_af.settings.sft import Sft
from refine_af.settings.subsets import Subsets
from refine_af.sft.examples import Example, encodings_of, examples, figures, overlapping, within
from refine_af.sft.processes import Processes, joined

if TYPE_CHECKING:  # torch takes seconds to import
    from refine_af.models.chat import Chat
    from refine_af.sft.rows import TrainingRow


def main(
    *,
    settings: Sft,
    compute: SftMachine,
    size: int,
    subsets: Subsets,
    encodings: Path,
    chat: bool,
    backbone: Path,
    instances: list[Path],
    overlap: list[Path],
    seeds: list[Path],
    report_to: list[str],
    curves: Path,
    progress: Path,
    adapter: Path,
) -> None:
    """Train on the instances, of all segments, that a size has.

    Where the settings ask for it, the files `overlap` say which of them to leave out, and the
    instances of the seeds, the file `seeds`, are trained on too.
    What is done so far is kept in the folder `progress`: killed and called again, it goes on.
    """
    files = [folder / "instances.jsonl" for folder in instances]
    texts = _texts(settings, size, subsets, encodings, files, overlap, seeds)
    given: dict[str, Given] = {"settings": settings.model_dump_json(), "size": size, "chat": chat}
    given |= {"encodings": encodings, "backbone": backbone, "instances": files, "overlap": overlap}
    given |= {"seeds": seeds, "subsets": subsets.model_dump_json()}
    stamp = fingerprint(given, code=code_digest(Path(__file__)))
    held = resumable(progress, stamp, adapter)
    with joined() as processes, processes.together(held) as place:
        if place is not None:
            named = f"{adapter.parent.name}/{adapter.name}"
            shown = partial(Curves, report_to if processes.first else [], curves, named)
            _tune(settings, compute, chat, backbone, texts, shown, place, processes, adapter)


@dataclass(frozen=True)
class Texts:
    """What is trained on, as text, and how many instances were left out, by reason.

    `subset` says what a size has, which `counts` instructions or instances; `where` begins a
    message about them.
    """

    size: int
    counts: str
    subset: str
    where: str
    examples: list[Example]
    dropped: Counter[str]


def _texts(
    settings: Sft,
    size: int,
    subsets: Subsets,
    encodings: Path,
    files: list[Path],
    overlap: list[Path],
    seeds: list[Path],
) -> Texts:
    templates = encodings_of(read_document(encodings), encodings)
    found = _of_size(size, subsets, files)
    without = overlapping(overlap, found) if settings.remove_overlap else None
    if settings.include_seeds and not seeds:
        raise InputError("--seeds: names no file, which sft.include_seeds: true needs")
    own = [row for path in seeds for row in read_seed_instances(path)]
    kept, dropped = examples([*found, *own], templates, settings, without=without)
    named = f"the first {size}" if subsets.order == "prefix" else f"the {size} drawn"
    where = f"{', '.join(map(str, files))}: of {named} {subsets.count}"
    if not kept:
        raise InputError(f"{where} no instance is left to train on")
    return Texts(size, subsets.count, in_words(subsets), where, kept, dropped)


def _of_size(size: int, subsets: Subsets, files: Sequence[Path]) -> list[Instance]:
    """The instances that a size has, of those in the files, in their order.

    InputError where a size counts instances, and the files hold too few.
    """
    among, found, before = chosen(size, subsets), list[Instance](), 0
    for path in files:
        rows = read_records(path, Instance)
        found += within(rows, among, path, before if subsets.count == "instances" else None)
        before += len(rows)
    if subsets.count == "instances" and len(found) < size:
        raise InputError(
            f"{', '.join(map(str, files))}: {before} instances, which lack {size - len(found)} of "
            f"the {size} that are trained on (subsets.count)"
        )
    return found


def _tune(
    settings: Sft,
    compute: SftMachine,
    chat: bool,
    backbone: Path,
    texts: Texts,
    shown: Callable[[], Curves],
    place: Path,
    processes: Processes,
    adapter: Path,
) -> None:
    from refine_af.models.backbones import load_tokenizer
    from refine_af.models.chat import chat_of
    from refine_af.models.device_faults import device_faults
    from refine_af.models.readiness import check_fine_tuning
    from refine_af.sft.output import check_output, save_tuned, write_cards
    from refine_af.sft.rows import ends
    from refine_af.sft.rows import figures as tokens
    from refine_af.sft.training import HISTORY, TIMING, tuned

    check_output(backbone, settings)
    check_fine_tuning(backbone, settings.lora if settings.tuning == "lora" else None)
    tokenizer = load_tokenizer(backbone)
    kept, rows = _rows(settings, texts, tokenizer, chat_of(tokenizer) if chat else None)
    with device_faults():
        model, found = tuned(backbone, tokenizer, rows, settings, compute, shown, place, processes)
    if not processes.first:
        return
    counted = figures(kept, texts.dropped, seeds=settings.include_seeds)
    with whole_folder(adapter) as folder:
        save_tuned(model, backbone, rows[0].end, settings, folder)
        write_table(folder / "history.csv", HISTORY, found.history)
        # Seconds differ from run to run, so they have a file of their own.
        write_table(folder / "timing.csv", TIMING, found.timing)
        told = {"updates": len(found.history), "chat": chat, **ends(rows, tokenizer)}
        whose = {"size": texts.size, "counts": texts.counts, "subset": texts.subset}
        summary = {**whose, **counted, **tokens(rows), **told}
        write_json(folder / "summary.json", summary)
        write_cards(folder, backbone.name, summary, settings)


def _rows(
    settings: Sft, texts: Texts, tokenizer: Any, chat: Chat | None
) -> tuple[Sequence[Example], Sequence[TrainingRow]]:
    """What is trained on, as text and as tokens: all that is not longer than `max_length`."""
    from refine_af.sft.rows import row

    pairs = [(each, row(each.prompt, each.completion, tokenizer, chat)) for each in texts.examples]
    trained = [pair for pair in pairs if len(pair[1].input_ids) <= settings.max_length]
    texts.dropped["longer than max_length"] = len(pairs) - len(trained)
    if not trained:
        raise InputError(f"{texts.where} all exceed sft.max_length {settings.max_length}")
    kept, rows = zip(*trained, strict=True)
    return kept, rows


if __name__ == "__main__":
    run(main)
