"""Keys that config.yaml had once, and what they are called now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from refine_af.errors import InputError

# By the old key, the new one; {} stands for any name, and for the same name.
MOVED = {
    "ppo.reward": "reward",
    "instructions.requests": "instructions.prompts_per_round",
    "instructions.segment": "instructions.segment_size",
    "instances.requests": "instances.prompts_per_round",
    "superni.requests": "superni.prompts_per_round",
    "superni.prompt": "prompts.superni",
    "superni.baselines.{}.prompt": "prompts.baselines.{}",
    "users.requests": "users.prompts_per_round",
    "overlap.words": "overlap.min_words",
    "report.keys": "report.count_wins_over",
    "watch.ppo.checkpoint_every": "compute.ppo.checkpoint_every",
    "watch.ppo.gradient_checkpointing": "compute.ppo.gradient_checkpointing",
    "watch.ppo.alarm.errors": "watch.ppo.alarm.min_standard_errors",
    "watch.ppo.alarm.flat": "watch.ppo.alarm.flat_effect_size",
    "watch.ppo.alarm.effect": "watch.ppo.alarm.effect_size",
    "watch.sft.checkpoint_every": "compute.sft.checkpoint_every",
    "watch.sft.micro_batch": "compute.sft.micro_batch",
    "watch.sft.gradient_checkpointing": "compute.sft.gradient_checkpointing",
}


def check_moved(
    config: Mapping[str, object], place_of: Callable[[str], str] = lambda key: ""
) -> None:
    """InputError with a line for each old key in `config`, which says where it is now.

    `place_of` tells the file and line of a key, "" where they are not known.
    """
    lines = []
    for pattern, target in MOVED.items():
        for old, new in _found(config, pattern, target):
            at = place_of(old)
            lines.append(f"  {old}: moved; it is `{new}` now{at and f' ({at})'}")
    if lines:
        raise InputError("config.yaml is wrong:\n" + "\n".join(lines))


def _found(config: object, pattern: str, target: str) -> Iterator[tuple[str, str]]:
    """Each key of `config` that is as `pattern` says, with its new one."""
    head, _, rest = pattern.partition(".")
    if not isinstance(config, Mapping):
        return
    for name in config if head == "{}" else {head} & config.keys():
        new = target.replace("{}", str(name)) if head == "{}" else target
        if not rest:
            yield str(name), new
            continue
        for old, found in _found(config[name], rest, new):
            yield f"{name}.{old}", found
