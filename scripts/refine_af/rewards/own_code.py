"""Where a scorer's code stands, which config.yaml names by a dotted path or a name of its own."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from refine_af.jobs.scratch import Given
from refine_af.jobs.sources import code_digest, digest_of
from refine_af.settings.reward import BUILT_IN, Reward
from refine_af.settings.servers import Server


def homes(root: Path | None = None) -> tuple[Path, Path, Path]:
    """Where a module may stand: the experiment's folder, the project's root, and its scripts/."""
    root = Path(__file__).resolve().parents[3] if root is None else root
    return Path(), root, root / "scripts"


def path_of(scorer: str) -> str:
    """The dotted path of a scorer; one that is built in has a module of its name."""
    return f"refine_af.rewards.{scorer}.Scorer" if scorer in BUILT_IN else scorer


def module_file(dotted: str, folders: Iterable[Path]) -> Path | None:
    """The file in which `dotted`, a dotted path to a name, is found from one of the folders.

    None where it is in none of them: it is then an installed package's, which the lock pins.
    """
    parts = dotted.split(".")[:-1]
    for folder in folders:
        place = folder.joinpath(*parts)
        for file in (place / "__init__.py", place.with_suffix(".py")):
            if file.is_file():
                return file
    return None


def own_code(scorer: str, folders: Iterable[Path] | None = None) -> str:
    """The digest of the code of a scorer's file, "" where there is none; None: the `homes`.

    Of a scorer that is built in it is that of all code that its scores depend on.
    """
    file = module_file(path_of(scorer), homes() if folders is None else folders)
    if file is None:
        return ""
    return code_digest(file.resolve()) if scorer in BUILT_IN else digest_of(file)


def deciding(
    reward: Reward,
    reward_model: Path | None,
    evaluator: Path | None,
    judge_prompt: Path | None,
    judge_server: Server | None,
) -> dict[str, Given]:
    """All that decides the scores of a job, by name, for its stamp."""
    return {
        "reward": reward.model_dump_json(),
        "scorer": own_code(reward.scorer),
        "reward_model": reward_model,
        "evaluator": evaluator,
        "judge_prompt": judge_prompt,
        "judge": judge_server.model if judge_server else None,
    }
