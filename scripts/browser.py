"""The page to browse a model's data on: instances, instructions, and what was refused."""

from pathlib import Path

from refine_af.browser.bound import within
from refine_af.browser.collection import Collection, Written, collected
from refine_af.files.documents import read_text
from refine_af.files.landing import whole_file
from refine_af.files.rows import read_records
from refine_af.files.shares import by_folder
from refine_af.jobs.command_line import run
from refine_af.pages.standalone import page as standalone_page
from refine_af.records.cells import check_method
from refine_af.records.diversity import VerbNoun
from refine_af.records.human_tasks import read_seeds
from refine_af.records.instances import Instance, Rejected
from refine_af.records.instructions import RejectedInstruction
from refine_af.records.neighbours import Neighbours
from refine_af.records.segments import read_segment
from refine_af.settings.browser import Browser


def main(
    *,
    settings: Browser,
    model: str,
    methods: list[str],
    seeds: Path,
    pools: list[Path],
    instances: list[Path],
    neighbours: Path,
    diversity: Path | None,
    markup: Path,
    style: Path,
    script: Path,
    page: Path,
) -> None:
    """Write the page. `instances` are folders of segments, those of a method in one folder."""
    whole = read_collection(model, methods, seeds, pools, instances, neighbours, diversity)
    texts = [read_text(path) for path in (markup, style, script)]
    around = len(standalone_page(*texts, data="").encode("utf-8"))
    shown, data = within(whole, settings.megabytes * 1_000_000 - around, settings.seed)
    written = standalone_page(*texts, data=data)
    with whole_file(page) as aside:
        aside.write_text(written, encoding="utf-8")
    count = sum(len(part.instances) for part in shown.written)
    print(
        f"{count} instances of {len(shown.pool)} of {len(whole.pool)} instructions, and "
        f"{len(shown.rejected)} of {len(whole.rejected)} refused ones"
    )


def read_collection(
    model: str,
    methods: list[str],
    seeds: Path,
    pools: list[Path],
    instances: list[Path],
    neighbours: Path,
    diversity: Path | None,
) -> Collection:
    """What the segments hold, and of each instruction the nearest reference, verb and noun."""
    for method in methods:
        check_method(method)
    written = []
    for method, folders in by_folder("--instances", instances, methods).items():
        kept = [row for each in folders for row in read_records(each / "instances.jsonl", Instance)]
        refused = [
            row for each in folders for row in read_records(each / "rejected.jsonl", Rejected)
        ]
        written.append(Written(method, kept, refused))
    return collected(
        model,
        read_seeds(seeds),
        [row for folder in pools for row in read_segment(folder)],
        [
            row
            for folder in pools
            for row in read_records(folder / "rejected.jsonl", RejectedInstruction)
        ],
        written,
        read_records(neighbours, Neighbours),
        read_records(diversity / "verb_nouns.jsonl", VerbNoun) if diversity else None,
    )


if __name__ == "__main__":
    run(main)
