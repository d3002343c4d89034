"""The data of all models as one data set for the hub: Parquet, a card, settings and prompts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile

import yaml

from refine_af.errors import InputError
from refine_af.exports import formats
from refine_af.exports.parquet import write_parquet
from refine_af.exports.provenance import Publication
from refine_af.files.documents import read_text
from refine_af.files.landing import whole_folder
from refine_af.files.rows import read_records
from refine_af.files.shares import by_folder, by_owner
from refine_af.jobs.command_line import run
from refine_af.models.backbones import load_tokenizer
from refine_af.models.encoding import beginning, encode
from refine_af.records.cells import check_method
from refine_af.records.diversity import VerbNoun
from refine_af.records.human_tasks import Seed, read_seeds
from refine_af.records.instances import Instance
from refine_af.records.instructions import Instruction
from refine_af.records.neighbours import Neighbours
from refine_af.records.overlap import Overlap
from refine_af.release.card import LICENSE_FILE, card_of, licence, sources
from refine_af.release.part import Part, chunks, columns_of, drawn
from refine_af.release.rows import Pool, check_order, kinds_of, pool_of, rows_of
from refine_af.settings.release import Release

CONFIG = "# The settings that these data depend on; a file is told by its last name.\n"


def main(
    *,
    settings: Release,
    origin: Publication,
    models: list[str],
    methods: list[str],
    seeds: Path,
    backbones: list[Path],
    instructions: list[Path],
    neighbours: list[Path],
    diversity: list[Path],
    instances: list[Path],
    segments: list[Path],
    overlaps: list[Path],
    prompt_names: list[str],
    prompts: list[Path],
    figures: list[Path],
    citation: Path,
    release: Path,
) -> None:
    """Write the release's folder.

    `backbones`, `instructions`, `neighbours` and `diversity`, which may be empty, have an entry
    for each of `models`, `instances` one for each method of each, and `segments` and `overlaps`,
    which may be empty, those of a folder each; `prompts` have one for each of `prompt_names`.
    `figures` is the folder of the report's, or nothing.
    """
    of_segments = {"segments": segments}
    of_segments |= {"overlaps": overlaps} if overlaps else {}
    of_models = {"instructions": instructions, "neighbours": neighbours, "backbones": backbones}
    of_models |= {"diversity": diversity} if diversity else {}
    asked = by_owner("--prompts", prompts, prompt_names, each=1)
    parts, components, people = list[Part](), list[str](), read_seeds(seeds)
    with whole_folder(release) as folder:
        found = shared_out(models, methods, people, of_models, instances, of_segments)
        for model, method, paths in found:
            parts.append(write_part(model, method, paths, settings, components, folder))
        told = copied(folder, asked, figures)
        write_texts(folder, settings, origin, parts, components, (read_text(citation), told))
    print(f"{sum(part.rows for part in parts)} rows in {len(parts)} parts: {release}")


@dataclass(frozen=True)
class Model:
    """What all of a model's rows take from: its pool, and what counts a text's tokens."""

    name: str
    pool: Pool
    tokens_of: Callable[[str], int]


def shared_out(
    models: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[Seed],
    of_models: Mapping[str, list[Path]],
    instances: list[Path],
    of_segments: Mapping[str, list[Path]],
) -> Iterator[tuple[Model, str, dict[str, list[Path]]]]:
    """Each model, read, with each method and its files by flag."""
    for method in methods:
        check_method(method)
    names = [f"{model}_{method}" for model in models for method in methods]
    shares = {flag: by_folder(f"--{flag}", paths, names) for flag, paths in of_segments.items()}
    shares["instances"] = by_owner("--instances", instances, names, each=1)
    own = {flag: by_owner(f"--{flag}", paths, models, each=1) for flag, paths in of_models.items()}
    for name in models:
        model = read_model(name, seeds, {flag: paths[name][0] for flag, paths in own.items()})
        for method in methods:
            yield model, method, {flag: paths[f"{name}_{method}"] for flag, paths in shares.items()}


def read_model(name: str, seeds: Sequence[Seed], files: Mapping[str, Path]) -> Model:
    """A model's pool, and its tokenizer without special tokens."""
    rows = read_records(files["instructions"], Instruction)
    near = read_records(files["neighbours"], Neighbours)
    check_order(str(files["neighbours"]), near, rows)
    said = None
    if "diversity" in files:
        path = files["diversity"] / "verb_nouns.jsonl"
        said = read_records(path, VerbNoun)
        check_order(str(path), said, rows)
    tokenizer = load_tokenizer(files["backbones"])
    begun = len(beginning(tokenizer))

    def tokens_of(text: str) -> int:
        return len(encode(tokenizer, text, start=True)) - begun

    return Model(name, pool_of(seeds, rows, near, said), tokens_of)


def write_part(
    model: Model,
    method: str,
    paths: Mapping[str, list[Path]],
    settings: Release,
    components: list[str],
    folder: Path,
) -> Part:
    """Write a model's rows by a method; what is told of them.

    `components` are the names of the scores, those of the first instance of all.
    """
    kept = read_records(paths["instances"][0], Instance)
    overlaps = None
    if compared := paths.get("overlaps"):
        overlaps = [row for path in compared for row in read_records(path, Overlap)]
        check_order(str(compared[0].parent), overlaps, kept)
    counts = formats.counts_of([each / "counts.csv" for each in paths["segments"]], len(kept))
    if kept:
        components.extend([] if components else kept[0].components)
        formats.column_kinds(kept, components)
    texts = formats.whole_characters(kept)
    files = -(-len(kept) // settings.rows_per_file)
    part = Part(model.name, method, counts, texts.mended, files, compared=overlaps is not None)
    rows = rows_of(
        model.name, texts.instances, overlaps, model.pool, model.tokens_of, settings.language
    )
    shown = drawn(len(kept), settings.examples, settings.seed, model.name, method)
    kinds = kinds_of(components)
    for number, held in enumerate(chunks(rows, settings.rows_per_file)):
        for row in held:
            part.add(row, shown)
        place = folder / part.name / f"train-{number:05d}-of-{part.files:05d}.parquet"
        place.parent.mkdir(exist_ok=True)
        write_parquet(place, columns_of(held, kinds), kinds)
    return part


def copied(folder: Path, prompts: Mapping[str, list[Path]], figures: Sequence[Path]) -> list[str]:
    """Copy the prompts, and the figures as PNG, whose names are given back."""
    drawn_files = sorted(path for place in figures for path in place.glob("*.png"))
    for name in ("prompts", *(["figures"] if drawn_files else [])):
        (folder / name).mkdir()
    for kind, (path,) in prompts.items():
        copyfile(path, folder / "prompts" / f"{kind}.txt")
    for path in drawn_files:
        copyfile(path, folder / "figures" / path.name)
    return [path.name for path in drawn_files]


def write_texts(
    folder: Path,
    settings: Release,
    origin: Publication,
    parts: Sequence[Part],
    components: Sequence[str],
    prose: tuple[str, Sequence[str]],
) -> None:
    """Write the card, and what it points to: settings, licence and citation."""
    if not any(part.rows for part in parts):
        raise InputError("--instances: hold no instance to release")
    texts = {
        "config.yaml": CONFIG + yaml.safe_dump(origin.settings, width=100),
        "citation.bib": prose[0],
        LICENSE_FILE: f"# Licence\n\n{licence(settings)}\n{sources(origin)}",
        "README.md": card_of(settings, origin, parts, components, prose=prose),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main)
