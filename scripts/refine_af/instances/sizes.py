"""Sizes that count instances: a segment up to an instance, and an end where too few are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from refine_af.errors import InputError
from refine_af.instances.parsing import REASONS, Parsed, parsed
from refine_af.instances.replies import AskedReply
from refine_af.records.instances import Instance
from refine_af.records.instructions import Instruction
from refine_af.records.subsets import spent
from refine_af.settings.instances import Instances
from refine_af.settings.watch import SubsetsWatch

COUNTS = ("instructions", "kept")


def up_to(
    rows: Sequence[Instance],
    settings: Instances,
    instructions: Sequence[Instruction],
    replies: Sequence[AskedReply],
) -> Parsed:
    """What a segment's replies hold up to the last of its first instances, `rows`.

    Of the last one's instruction further pairs are neither kept nor refused. InputError where the
    replies hold other instances.
    """
    places = {row.id: place for place, row in enumerate(instructions)}
    end = places.get(rows[-1].instruction_id, -1) + 1
    found = parsed(settings, instructions[:end], replies[:end])
    found = replace(found, kept=found.kept[: len(rows)])
    if [f"{kept.row.id}-{kept.number}" for kept in found.kept] != [row.id for row in rows]:
        raise InputError("--instances: are not those that --replies hold")
    return found


def check_kept(segments: Sequence[Mapping[str, int]], size: int, watch: SubsetsWatch) -> None:
    """InputError where segments keep fewer instances than `size`, and there are to be no more.

    `segments` are their counts, a mapping each.
    """
    total: Counter[str] = Counter()
    for counts in segments:
        total.update(counts)
    asked, kept = total["instructions"], total["kept"]
    if kept >= size or not spent(asked, size, watch):
        return
    why = sorted(REASONS, key=lambda reason: -total[reason])
    reasons = ", ".join(f"{total[reason]} {reason}" for reason in why if total[reason])
    raise InputError(
        f"--size {size}: {asked} instructions gave {kept} instances ({kept / max(1, asked):.1%}), "
        f"and watch.subsets.least_kept {watch.least_kept:g} asks for {size} from at most so many. "
        f"Refused: {reasons or 'nothing'}. Look at the prompt of the instances, "
        "instances.sampling and the refused ones, rejected.jsonl of each segment; or lower "
        "least_kept, which goes on from here, or sizes. Finished segments stay."
    )
