"""Blind ratings by people: the page that they rate on, and what their files tell."""

from pathlib import Path

from refine_af.errors import InputError
from refine_af.files.documents import write_json
from refine_af.files.landing import whole_file
from refine_af.files.rows import read_records
from refine_af.files.tables import write_table
from refine_af.jobs.command_line import run
from refine_af.pages.standalone import embedded
from refine_af.pages.standalone import page as standalone_page
from refine_af.ratings import items
from refine_af.ratings.returned import read_all
from refine_af.records.evaluation import UserPrediction
from refine_af.records.instances import Instance
from refine_af.settings.ratings import Page, Summary


def page(
    *,
    settings: Page,
    model: str,
    cells: list[str],
    predictions: Path,
    instances: list[Path],
    markup: Path,
    style: Path,
    script: Path,
    page: Path,
    key: Path,
) -> None:
    """Write the page of a model's replies and instances, and the key to their methods.

    `cells` holds the cell of each of the settings' methods; `instances` the folders of segments.
    """
    if len(cells) != len(settings.methods) or len(set(cells)) < len(cells):
        raise InputError(f"--cells: {cells} are not one cell for each of {settings.methods}")
    by_method = dict(zip(settings.methods, cells, strict=True))
    predicted = read_records(predictions, UserPrediction)
    replies, reply_items = items.replies(
        predicted, model=model, cells=by_method, seed=settings.seed, path=predictions
    )
    rows = [
        row for folder in instances for row in read_records(folder / "instances.jsonl", Instance)
    ]
    seen, review_items = items.reviewed(
        rows, model=model, methods=settings.methods, count=settings.instances, seed=settings.seed
    )
    parts = {items.RATINGS: replies, items.REVIEW: seen}
    keys = {items.RATINGS: reply_items, items.REVIEW: review_items}
    data, page_key = items.page_data(model, parts, keys)
    texts = [path.read_text(encoding="utf-8") for path in (markup, style, script)]
    written = standalone_page(*texts, data=embedded(data))
    with whole_file(page) as aside:
        aside.write_text(written, encoding="utf-8")
    write_json(key, items.key_document(page_key))
    print(f"{page}: {len(replies)} replies, {len(seen)} instances; {key}: keep it from the raters")


def summary(*, settings: Summary, key: Path, files: list[Path], summary: Path) -> None:
    """Read the files that came back, as far as they go, and write what they tell."""
    from refine_af.ratings.summary import COLUMNS
    from refine_af.ratings.summary import summary as rows_of

    page_key = items.read_key(key)
    raters = read_all(files, page_key)
    write_table(summary, COLUMNS, rows_of(raters, page_key, settings))
    for gap in filter(None, (each.gap(page_key) for each in raters)):
        print(gap)
    print(f"{summary}: of {', '.join(each.rater for each in raters)}")


if __name__ == "__main__":
    run(page, summary)
