"""Super-NI's first half: the test instances, and a cell's predictions for them, zero-shot."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from refine_af.engines.choice import Completer, engines_of
from refine_af.engines.greedy import greedy, greedy_replies
from refine_af.engines.local import context_of
from refine_af.engines.replies import Group, Reply
from refine_af.errors import InputError
from refine_af.files.documents import read_document, read_text
from refine_af.files.rows import write_records
from refine_af.files.shares import files_of
from refine_af.jobs.command_line import run
from refine_af.jobs.progress import Progress
from refine_af.jobs.scratch import Given, fingerprint, scratch
from refine_af.jobs.sources import code_digest
from refine_af.metrics.scores import read_instances
from refine_af.prompts.templates import read_prompt
from refine_af.records.evaluation import EvaluationInstance, Prediction
from refine_af.settings.servers import Served, Server
from refine_af.settings.superni import Superni
from refine_af.superni import tasks as of_tasks

FLAGS = ("parts", "predictions")  # which belong together, one by one


def instances(*, settings: Superni, tasks: Path, instances: Path) -> None:
    """Collect the test instances of a folder of task files, tasks in the order of tasks.txt."""
    listed = tasks / "tasks.txt"
    rows = []
    for task in of_tasks.task_names(read_text(listed), listed):
        path = tasks / f"{task}.json"
        limit = settings.instances_per_task
        rows += of_tasks.task_instances(read_document(path), task=task, limit=limit, path=path)
    of_tasks.check_ids(rows)
    write_records(instances, rows)


def replies(
    *,
    settings: Superni,
    server: Server | None,
    served: Served | None,
    cell: str,
    prompt: Path,
    chat: bool,
    backbone: Path,
    adapter: Path | None,
    instances: Path,
    parts: list[int],
    of: int,
    progress: Path,
    predictions: list[Path],
) -> None:
    """Answer every `of`-th task, from some numbers on, greedily: a part and a file each.

    What is done so far is kept in the folder `progress`, a folder a part: killed and called again,
    whatever the parts, it goes on. A baseline's cell has its stop strings.
    """
    files, evaluated = files_of(parts, predictions, of, flags=FLAGS), read_instances(instances)
    stop = settings.baselines[cell].stop if cell in settings.baselines else ()
    given = {"prompt": prompt, "backbone": backbone, "adapter": adapter, "instances": instances}
    completer = Completer(backbone, adapter, server, served, chat, settings.end_of_text)
    stamp = stamp_of(settings, stop, of, completer, given)
    shares = {part: of_tasks.part_of(evaluated, part, of) for part in sorted(files)}
    shown = Progress(sum(map(len, shares.values())), "replies")
    rounds = _rounds(shares, prompt, settings, backbone, chat)
    with engines_of(settings, completer) as engines, ExitStack() as held:
        engine = engines(greedy(settings.max_new_tokens, stop))
        # All parts at once: a job of other settings that still runs must not land after this one.
        folders = {
            part: held.enter_context(scratch(progress / str(part), stamp)).folder for part in shares
        }
        for part, rows in shares.items():
            written = greedy_replies(rounds[part], folders[part] / "replies.jsonl", engine, shown)
            write_records(files[part], predicted(rows, written))


def stamp_of(
    settings: Superni,
    stop: Sequence[str],
    of: int,
    completer: Completer,
    inputs: Mapping[str, Path | None],
) -> str:
    """The stamp of all that decides a reply; the settings of other cells do not."""
    own = settings.model_dump_json(exclude={"instances_per_task", "baselines"})
    given: dict[str, Given] = {"settings": own, "stop": "\0".join(stop), "of": str(of)}
    given |= {"served": completer.stamped, "chat": completer.chat, **inputs}
    return fingerprint(given, code=code_digest(Path(__file__)))


def predicted(rows: Sequence[EvaluationInstance], replies: Sequence[Reply]) -> list[Prediction]:
    """Each instance's reply as a prediction, finished where it ended by itself."""
    return [
        Prediction(row.id, reply.text.strip(), finished=reply.finish != "length")
        for row, reply in zip(rows, replies, strict=True)
    ]


def _rounds(
    shares: Mapping[int, Sequence[EvaluationInstance]],
    prompt: Path,
    settings: Superni,
    backbone: Path,
    chat: bool,
) -> dict[int, list[list[Group]]]:
    """The prompts of each part, in rounds. InputError where one leaves no room for its reply."""
    template = read_prompt(prompt, {"definition", "input"})
    if not any(shares.values()):
        return {part: [] for part in shares}

    from refine_af.models.backbones import load_tokenizer
    from refine_af.models.chat import chat_of
    from refine_af.superni.zero_shot import longest_prompt, rounds_of, task_prompts

    tokenizer = load_tokenizer(backbone)
    turns = chat_of(tokenizer) if chat else None
    room = context_of(backbone)
    found = {}
    for part, rows in shares.items():
        tasks = list(task_prompts(rows, template, settings, tokenizer, turns))
        print(
            f"{sum(task.shortened for task in tasks)} of {len(rows)} inputs were cut to fit "
            f"{settings.max_source_tokens} tokens, {sum(task.emptied for task in tasks)} to nothing"
        )
        longest = longest_prompt(tasks, tokenizer, turns)
        if room is not None and longest + settings.max_new_tokens > room:
            raise InputError(
                f"superni.max_source_tokens {settings.max_source_tokens} and "
                f"superni.max_new_tokens {settings.max_new_tokens}: a prompt of {longest} tokens "
                f"leaves no room for its reply in the model's context of {room} tokens"
            )
        found[part] = [
            [task.group for task in round] for round in rounds_of(tasks, settings.prompts_per_round)
        ]
    return found


if __name__ == "__main__":
    run(instances, replies)
