"""Supervised fine-tuning: the instances of a backbone's first instructions train a LoRA adapter."""

from pathlib import Path

from refine_af import sft
from refine_af.command_line import run
from refine_af.documents import read_document
from refine_af.errors import InputError
from refine_af.landing import check_free, whole_folder
from refine_af.records import Instance, read_records, write_json
from refine_af.settings import Sft
from refine_af.tables import write_table


def main(
    *,
    settings: Sft,
    size: int,
    encodings: Path,
    backbone: Path,
    instances: list[Path],
    adapter: Path,
) -> None:
    """Train on the instances, of all segments, that belong to the first `size` instructions."""
    check_free(adapter)
    templates = sft.encodings_of(read_document(encodings), encodings)
    files = [folder / "instances.jsonl" for folder in instances]
    found = [row for path in files for row in sft.within(read_records(path, Instance), size, path)]
    examples, dropped = sft.examples(found, templates, settings)
    where = f"{', '.join(map(str, files))}: of the first {size} instructions"
    if not examples:
        raise InputError(f"{where} no instance is left to train on")

    from refine_af import fine_tuning
    from refine_af.lora import with_lora
    from refine_af.models import load_backbone, load_tokenizer

    tokenizer = load_tokenizer(backbone)
    pairs = [(each, fine_tuning.row(each.prompt, each.completion, tokenizer)) for each in examples]
    trained = [pair for pair in pairs if len(pair[1].input_ids) <= settings.max_length]
    dropped["longer than max_length"] = len(pairs) - len(trained)
    if not trained:
        raise InputError(f"{where} all exceed sft.max_length {settings.max_length}")
    kept, rows = zip(*trained, strict=True)
    model = load_backbone(backbone, quantization=settings.quantization)
    tuned = with_lora(model, settings.lora, seed=settings.seed, section="sft.lora")
    with whole_folder(adapter) as folder:
        history = fine_tuning.train(tuned, tokenizer, rows, settings, folder)
        fine_tuning.save_adapter(tuned, folder)
        write_table(folder / "history.csv", fine_tuning.HISTORY, history)
        summary = sft.figures(kept, dropped) | fine_tuning.figures(rows, history)
        write_json(folder / "summary.json", {"instructions": size, **summary})


if __name__ == "__main__":
    run(main)
