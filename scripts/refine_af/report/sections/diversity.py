"""The verbs and nouns of the instructions on the page: figure 8, and what has no pair."""

from __future__ import annotations

from refine_af.report.drawing import Drawing, shown
from refine_af.report.finished_run import ModelRun
from refine_af.report.pages import Html, join, paragraph, section, table
from refine_af.report.published import Paper
from refine_af.report.verb_nouns import Diversity
from refine_af.report.verb_ring import shown_word
from refine_af.report.wording import counted, share
from refine_af.settings.report import Report

PAPER_SIZE = 15000  # instructions of each backbone that the paper counted pairs of
FOUND_BY = {
    "benepar": "The verb is the one closest to the root of the tree that benepar gives of an "
    "instruction's first sentence, past auxiliaries; the noun is the head of its object.",
    "spacy": "Verb and noun are those of Self-Instruct's notebook: the root verb of the "
    "dependencies that spaCy gives of an instruction's first sentence, and its direct object.",
}


def diversity_section(
    run: ModelRun, paper: Paper, settings: Report, drawing: Drawing | None, remark: str
) -> Html:
    """How many unique pairs there are beside the paper's, figure 8, and what has no pair.

    `remark` is what else a reader must know of the parser; empty where there is nothing.
    """
    return section(
        f"{run.name}_diversity",
        "Verbs and nouns of the instructions",
        _parts(run.diversity, run.name, paper, settings, drawing, remark)
        if run.diversity
        else paragraph("No parser was asked for them (diversity: null)."),
        level=3,
    )


def _parts(
    found: Diversity,
    name: str,
    paper: Paper,
    settings: Report,
    drawing: Drawing | None,
    remark: str,
) -> Html:
    counts, parser = found.counts, found.parser
    versions = ", ".join(f"{library} {version}" for library, version in parser.versions.items())
    return join(
        paragraph(
            f"Of {counted(counts.instructions, 'instruction')}, {counts.with_pair:,} "
            f"({share(counts.with_pair, counts.instructions)}) have a verb with a noun as its "
            f"object: {counted(counts.unique_pairs, 'unique pair')}.",
            remark,
        ),
        paragraph(
            FOUND_BY[parser.backend],
            f"The parser is in {parser.name}, whose files have the digest {parser.digest[:16]}… "
            f"({versions}).",
        ),
        _figure(found, settings, drawing) if drawing else "",
        table(
            "What became of the instructions",
            ["", "instructions", "share"],
            [
                (what, f"{number:,}", share(number, counts.instructions))
                for what, number in _fates(found)
            ],
        ),
        _beside(found, name, paper),
    )


def _beside(found: Diversity, name: str, paper: Paper) -> Html:
    """The run's unique pairs, and those of the paper's backbones."""
    return table(
        "Unique pairs, and what the paper counts in its backbones' instructions",
        ["", "instructions", "unique pairs"],
        [
            (name, f"{found.counts.instructions:,}", f"{found.counts.unique_pairs:,}"),
            *(
                (f"the paper: {model}", f"{PAPER_SIZE:,}", f"{number:,}")
                for model, number in paper.unique_pairs.items()
            ),
        ],
    )


def _figure(found: Diversity, settings: Report, drawing: Drawing) -> Html:
    drawn, counts = drawing.numbers, found.counts
    verbs = drawn["verb"].nunique()
    inner = f"the {counted(verbs, 'verb')}" if verbs > 1 else "the verb"
    caption = (
        f"Figure 8: inside {inner} with the most instructions that have a pair; outside up to "
        f"{counted(settings.nouns, 'noun')} of each, as wide as they are common. These are "
        f"{counted(len(drawn), 'pair')} of {counts.unique_pairs:,}, in "
        f"{share(int(drawn['instructions'].sum()), counts.with_pair)} of the instructions that "
        "have one. A wedge too narrow for its word has none."
    )
    first = zip(*(found.pairs[column][:5] for column in found.pairs), strict=True)
    said = [f"{shown_word(verb)} {shown_word(noun)} ({number:,})" for verb, noun, number in first]
    commonest = f"The commonest pairs: {', '.join(said)}."
    return join(shown(drawing, "Two rings of wedges", caption), paragraph(commonest))


def _fates(found: Diversity) -> list[tuple[str, int]]:
    counts = found.counts
    return [
        ("verb and noun", counts.with_pair),
        ("a verb without a noun as its object", counts.objectless),
        ("no verb, or a form of be", counts.verbless),
        *((f"not parsed: {reason}", number) for reason, number in counts.unparsed.items()),
    ]
