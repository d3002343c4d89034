"""Zero-shot evaluation on Super-NI: test instances, a model's predictions, the table of scores."""

from pathlib import Path

from refine_af import superni
from refine_af.command_line import run
from refine_af.documents import read_document
from refine_af.errors import InputError
from refine_af.prompts import read_prompt
from refine_af.records import (
    Prediction,
    read_records,
    write_records,
)
from refine_af.scores import by_id, read_instances
from refine_af.settings import Superni
from refine_af.tables import write_table


def instances(*, settings: Superni, tasks: Path, instances: Path) -> None:
    """Collect the test instances of a folder of task files, tasks in the order of tasks.txt."""
    listed = tasks / "tasks.txt"
    rows = []
    for task in superni.task_names(listed.read_text(encoding="utf-8").splitlines(), listed):
        path = tasks / f"{task}.json"
        limit = settings.instances_per_task
        rows += superni.task_instances(read_document(path), task=task, limit=limit, path=path)
    superni.check_ids(rows)
    write_records(instances, rows)


def predictions(
    *,
    settings: Superni,
    cell: str,
    prompt: Path,
    backbone: Path,
    adapter: Path | None,
    instances: Path,
    predictions: Path,
) -> None:
    """Answer every instance with a model, greedily; a baseline's cell has its stop strings."""
    asked = read_instances(instances)
    template = read_prompt(prompt, {"definition", "input"})

    from refine_af.models import load_backbone, load_tokenizer
    from refine_af.progress import Progress
    from refine_af.zero_shot import answers, task_prompts

    tokenizer = load_tokenizer(backbone)
    tasks = list(task_prompts(asked, template, settings, tokenizer))
    print(
        f"{sum(task.shortened for task in tasks)} of {len(asked)} inputs were cut to fit "
        f"{settings.max_source_tokens} tokens, {sum(task.emptied for task in tasks)} to nothing"
    )
    model = load_backbone(backbone, quantization=settings.quantization, adapter=adapter)
    stop = settings.baselines[cell].stop if cell in settings.baselines else ()
    progress = Progress(len(asked), "replies")
    replies = answers(model, tokenizer, tasks, settings, stop=stop, progress=progress)
    rows = [
        Prediction(instance.id, reply.text.strip(), finished=reply.finish != "length")
        for instance, reply in zip(asked, replies, strict=True)
    ]
    write_records(predictions, rows)


def table(*, instances: Path, predictions: list[Path], table: Path, scores: Path) -> None:
    """Score every cell's predictions, by task and by instance; a file's stem is its cell."""
    asked = read_instances(instances)
    cells = {}
    for path in predictions:
        cells[path.stem] = by_id(read_records(path, Prediction), asked, path)
        missing = [instance.id for instance in asked if instance.id not in cells[path.stem]]
        if missing:
            raise InputError(
                f"{path}: {len(missing)} of {len(asked)} instances have no prediction, "
                f"the first {missing[0]!r}"
            )
    found = superni.scored(asked, cells)
    write_table(scores, ["id", "task", *cells], superni.score_rows(asked, found))
    write_table(table, superni.COLUMNS, superni.table(asked, cells, found))


if __name__ == "__main__":
    run(instances, predictions, table)
