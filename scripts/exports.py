"""The instances of a method as data sets that others load, with a card that tells what they are."""

from pathlib import Path

from refine_af.errors import InputError
from refine_af.exports import formats as exports
from refine_af.exports.card import card_of
from refine_af.exports.parquet import write_parquet
from refine_af.exports.provenance import Provenance
from refine_af.files.documents import write_json
from refine_af.files.landing import whole_file, whole_folder
from refine_af.files.rows import read_records
from refine_af.jobs.command_line import run
from refine_af.records.cells import check_method
from refine_af.records.instances import Instance

DATA_FILE = "train-00000-of-00001.parquet"  # as the hub names the only file of a split


def main(
    *,
    origin: Provenance,
    method: str,
    instances: Path,
    segments: list[Path],
    alpaca: Path,
    dataset: Path,
    card: Path,
) -> None:
    """Write Alpaca's JSON, a folder that `datasets` loads, and the card beside it."""
    check_method(method)
    found = read_records(instances, Instance)
    if not found:
        raise InputError(f"{instances}: holds no instance to export")
    kinds = exports.column_kinds(found)
    counts = exports.counts_of([folder / "counts.csv" for folder in segments], len(found))
    texts = exports.whole_characters(found)
    write_json(alpaca, exports.alpaca(texts.instances))
    with whole_folder(dataset) as folder:
        write_parquet(folder / DATA_FILE, exports.columns(texts.instances), kinds)
    text = card_of(
        origin,
        method,
        texts.instances,
        counts,
        data_file=f"{dataset.name}/{DATA_FILE}",
        mended=texts.mended,
    )
    with whole_file(card) as aside:
        aside.write_text(text, encoding="utf-8")
    print(f"{len(found)} instances, {texts.mended} of them with half a character replaced")


if __name__ == "__main__":
    run(main)
