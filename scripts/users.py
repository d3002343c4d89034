"""The user-oriented instructions: what every model answers them, in one file for people to rate."""

from pathlib import Path

from refine_af.engines.choice import Completer, engines_of
from refine_af.engines.greedy import greedy, greedy_replies
from refine_af.engines.local import context_of
from refine_af.engines.replies import Group
from refine_af.engines.rounds import rounds_of
from refine_af.errors import InputError
from refine_af.files.documents import read_document
from refine_af.files.rows import read_records, write_records
from refine_af.jobs.command_line import run
from refine_af.jobs.progress import Progress
from refine_af.jobs.scratch import Given, fingerprint, scratch
from refine_af.jobs.sources import code_digest
from refine_af.records.evaluation import UserPrediction
from refine_af.records.human_tasks import read_user_instructions
from refine_af.settings.servers import Served, Server
from refine_af.settings.users import Users
from refine_af.users import replies as stage


def predictions(
    *,
    settings: Users,
    server: Server | None,
    served: Served | None,
    model: str,
    cell: str,
    prompts: Path,
    chat: bool,
    backbone: Path,
    adapter: Path | None,
    instructions: Path,
    progress: Path,
    predictions: Path,
) -> None:
    """Answer every instruction with one model, greedily.

    What is done so far is kept in the folder `progress`: killed and called again, it goes on.
    """
    user_instructions = read_user_instructions(instructions)
    encodings = stage.encodings_of(read_document(prompts), prompts)
    texts = [stage.prompt_for(row, encodings) for row in user_instructions]
    completer = Completer(backbone, adapter, server, served, chat)
    given: dict[str, Given] = {"settings": settings.model_dump_json(), "chat": chat}
    given["served"] = completer.stamped
    inputs = {"prompts": prompts, "backbone": backbone, "adapter": adapter}
    given |= {"instructions": instructions, **inputs}
    stamp = fingerprint(given, code=code_digest(Path(__file__)))
    rounds = [[Group("", part)] for part in rounds_of(texts, settings.prompts_per_round)]
    with engines_of(settings, completer) as engines, scratch(progress, stamp) as place:
        engine = engines(greedy(settings.max_new_tokens, settings.stop))
        shown = Progress(len(user_instructions), "replies")
        replies = greedy_replies(rounds, place.folder / "replies.jsonl", engine, shown)
        if without_room := sum(not reply.tokens for reply in replies):
            print(
                f"{without_room} of {len(user_instructions)} prompts leave no room for a reply of "
                f"users.max_new_tokens {settings.max_new_tokens} in the model's context of "
                f"{context_of(backbone)} tokens: their predictions are empty"
            )
        write_records(predictions, stage.predicted(user_instructions, replies, model, cell))


def join(*, cells: list[Path], predictions: Path) -> None:
    """Join the predictions of all cells of all models."""
    if not cells:
        raise InputError("--cells: names no file")
    files = [(path, read_records(path, UserPrediction)) for path in cells]
    write_records(predictions, stage.joined(files))


if __name__ == "__main__":
    run(predictions, join)
