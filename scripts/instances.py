"""Stage 3, instances: the pairs of input and output in the replies to every instruction, scored."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from refine_af.errors import InputError
from refine_af.files.digests import sha256_of
from refine_af.files.landing import check_free
from refine_af.files.rows import read_records, write_records
from refine_af.instances import parsing
from refine_af.instances.rounds import adapter_of
from refine_af.instances.segments import read_asked, write_segment
from refine_af.jobs.command_line import run
from refine_af.jobs.progress import Progress
from refine_af.jobs.scratch import fingerprint, resumable
from refine_af.jobs.sources import code_digest
from refine_af.records.instances import Instance
from refine_af.rewards.equation_1 import composite, weighed
from refine_af.rewards.own_code import deciding
from refine_af.settings.instances import Instances
from refine_af.settings.reward import Reward
from refine_af.settings.servers import Server
from refine_af.settings.watch import ParsedWatch

if TYPE_CHECKING:  # torch takes seconds to import
    from refine_af.rewards.scorers import Judge


def segment(
    *,
    settings: Instances,
    reward: Reward,
    watch: ParsedWatch,
    method: str,
    instructions: Path,
    replies: list[Path],
    ppo: Path | None,
    reward_model: Path | None,
    evaluator: Path | None,
    judge_prompt: Path | None,
    judge_server: Server | None,
    progress: Path,
    segment: Path,
) -> None:
    """Write a segment's instances: the pairs in the replies of all its rounds, with their scores.

    Scores decide nothing of what is kept. What is scored so far is kept in the folder `progress`:
    killed and called again, it goes on.
    """
    check_free(segment)
    digest = digest_of(adapter_of(method, ppo))
    rounds, by_round = read_asked(settings, instructions, replies)
    found = [parsing.parsed(settings, *pair) for pair in zip(rounds, by_round, strict=True)]
    parsing.check_parsed(parsing.joined(found), watch, segment)
    given = deciding(reward, reward_model, evaluator, judge_prompt, judge_server)
    given |= {"settings": settings.model_dump_json(), "method": method, "adapter": digest}
    given |= {"replies": replies, "instructions": instructions / "instructions.jsonl"}
    stamp = fingerprint(given, code=code_digest(Path(__file__)))
    with resumable(progress, stamp, segment) as place:
        if place is not None:
            judge = loaded_later(reward, reward_model, evaluator, judge_server, judge_prompt, place)
            rows = scored(reward, judge, place / "scores.jsonl", found, method, digest)
            write_segment(segment, parsing.joined(found), rows)


def digest_of(adapter: Path | None) -> str:
    """The sha256 of an adapter's weights; "" where there is no adapter."""
    return "" if adapter is None else sha256_of(adapter / "adapter_model.safetensors")


def loaded_later(
    reward: Reward,
    reward_model: Path | None,
    evaluator: Path | None,
    judge_server: Server | None,
    judge_prompt: Path | None,
    place: Path,
) -> "Judge":
    """The scorer, which is loaded at its first call."""
    from refine_af.instances.scores import judge_of
    from refine_af.rewards.scorers import load_scorer, to_ask

    asked = to_ask(judge_server, judge_prompt, place)
    return judge_of(lambda: load_scorer(reward, reward_model, evaluator, asked))


def scored(
    reward: Reward,
    judge: "Judge",
    log: Path,
    rounds: list[parsing.Parsed],
    method: str,
    digest: str,
) -> list[Instance]:
    """The instances of a segment's rounds, each round scored in one go, as PPO scores a step's."""
    from refine_af.instances.scores import ScoreLog
    from refine_af.rewards.scorer import Triplet

    progress = Progress(sum(len(part.kept) for part in rounds), "instances scored")
    rows = []
    with closing(ScoreLog(log, judge, weighed(reward.weights))) as kept:
        for number, part in enumerate(rounds):
            pairs = [(entry.row.instruction, entry.pair) for entry in part.kept]
            triplets = [Triplet(text, pair.input, pair.output) for text, pair in pairs]
            for entry, components in zip(part.kept, kept.scores(number, triplets), strict=True):
                row = Instance(
                    id=f"{entry.row.id}-{entry.number}",
                    instruction_id=entry.row.id,
                    method=method,
                    instruction=entry.row.instruction,
                    input=entry.pair.input,
                    output=entry.pair.output,
                    adapter_sha256=digest,
                    reward=composite(components, reward.weights),
                    components=components,
                    template=entry.template,
                )
                rows.append(row)
            progress.advance(len(part.kept))
    return rows


def merge(*, segments: list[Path], instances: Path) -> None:
    """Join the segments' instances in one file."""
    if not segments:
        raise InputError("--segments: none is named")
    files = [folder / "instances.jsonl" for folder in segments]
    write_records(
        instances, parsing.run_on([(path, read_records(path, Instance)) for path in files])
    )


if __name__ == "__main__":
    run(segment, merge)
