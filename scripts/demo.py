"""The embedded demo: data and tiny models, made on the spot from a corpus of synthetic tasks."""

from pathlib import Path
from random import Random

from refine_af.demo import data as demo
from refine_af.demo.truth import PlainAnswer
from refine_af.demo.truth import truth as checked
from refine_af.errors import InputError, shown
from refine_af.files.documents import write_json
from refine_af.files.landing import whole_folder
from refine_af.files.rows import read_records, write_rows
from refine_af.jobs.command_line import run
from refine_af.randomness import derived_seed
from refine_af.settings.demo import Demo


def data(*, settings: Demo, seeds: Path, user_instructions: Path, superni: Path) -> None:
    """Make the seed tasks, the user-oriented instructions and the held-out tasks."""
    write_rows(seeds, demo.seed_tasks(settings))
    write_rows(user_instructions, demo.user_oriented_instructions(settings))
    tasks = demo.superni_tasks(settings)
    with whole_folder(superni) as folder:
        (folder / "tasks.txt").write_text("".join(f"{name}\n" for name in tasks), encoding="utf-8")
        for name, task in tasks.items():
            write_json(folder / f"{name}.json", task)


def tokenizer(*, settings: Demo, tokenizer: Path) -> None:
    """Train the tokenizer that all models of the demo share."""
    from refine_af.demo.tokenizer import train_tokenizer

    with whole_folder(tokenizer) as folder:
        train_tokenizer(settings.seed, settings.vocabulary).save_pretrained(folder)


def backbone(*, settings: Demo, name: str, tokenizer: Path, backbone: Path) -> None:
    """Train the language model `name`."""
    from refine_af.demo.backbone import exact_share, train_backbone
    from refine_af.demo.tokenizer import read_tokenizer

    if name not in settings.backbones:
        raise InputError(f"demo.backbones: no {shown(name)}; known are {list(settings.backbones)}")
    loaded = read_tokenizer(tokenizer)
    shape, seed = settings.backbones[name], settings.seed
    model = train_backbone(shape, loaded, seed=seed, name=name, context=settings.context)
    with whole_folder(backbone) as folder:
        model.save_pretrained(folder)
        loaded.save_pretrained(folder)
    quality = [
        exact_share(model, loaded, seed=seed, held_out=held_out, tasks=settings.quality_tasks)
        for held_out in (False, True)
    ]
    print(f"few-shot tasks answered exactly: {_known_and_new(quality)}")


def reward_model(*, settings: Demo, tokenizer: Path, reward_model: Path) -> None:
    """Train the reward model."""
    from refine_af.demo.judges import reward_model_accuracy, train_reward_model
    from refine_af.demo.tokenizer import read_tokenizer

    loaded, seed, tasks = read_tokenizer(tokenizer), settings.seed, settings.quality_tasks
    model = train_reward_model(settings.reward_model, loaded, seed=seed)
    with whole_folder(reward_model) as folder:
        model.save(folder)
        loaded.save_pretrained(folder)
    quality = [
        reward_model_accuracy(model, loaded, seed=seed, held_out=held_out, tasks=tasks)
        for held_out in (False, True)
    ]
    print(f"right examples ranked above spoilt ones: {_known_and_new(quality)}")


def evaluator(*, settings: Demo, tokenizer: Path, evaluator: Path) -> None:
    """Train the evaluator."""
    from refine_af.demo.judges import QUESTIONS, evaluator_accuracy, train_evaluator
    from refine_af.demo.tokenizer import read_tokenizer

    loaded, seed, tasks = read_tokenizer(tokenizer), settings.seed, settings.quality_tasks
    model = train_evaluator(settings.evaluator, loaded, seed=seed)
    with whole_folder(evaluator) as folder:
        model.save_pretrained(folder)
        loaded.save_pretrained(folder)
    for question in QUESTIONS:
        quality = [
            evaluator_accuracy(model, loaded, question, seed=seed, held_out=held_out, tasks=tasks)
            for held_out in (False, True)
        ]
        print(f"{question} answered rightly: {_known_and_new(quality)}")


def parser(*, settings: Demo, parser: Path) -> None:
    """Train the parser of the instructions."""
    from refine_af.demo.parser import exact_share, save_parser, train_parser
    from refine_af.demo.treebank import treebank

    tiny, seed = settings.parser, settings.seed
    trees = treebank(Random(derived_seed(seed, "treebank")), tiny.trees)
    trained = train_parser(tiny, trees, seed=seed)
    with whole_folder(parser) as folder:
        save_parser(trained, folder)
    unseen = treebank(Random(derived_seed(seed, "held-out trees")), settings.quality_tasks)
    print(f"trees of new sentences given exactly: {exact_share(trained, unseen):.1%}")


def truth(*, settings: Demo, ppo: Path, truth: Path) -> None:
    """Check what the model said before and after PPO against exact solvers."""
    rows = read_records(ppo / "evaluation.jsonl", PlainAnswer, extra=True)
    write_json(truth, checked(rows))


def _known_and_new(shares: list[float]) -> str:
    known, new = shares
    return f"{known:.1%} of known families, {new:.1%} of new ones"


if __name__ == "__main__":
    run(data, tokenizer, backbone, reward_model, evaluator, parser, truth)
