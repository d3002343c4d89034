"""Classification tasks: whether an instruction is one, and the pairs in a reply output first.

Source: yizhongw/self-instruct@0b26ccaa, self_instruct/identify_clf_or_not.py and
prepare_for_finetuning.py, its branch for classification tasks.
"""

from __future__ import annotations

from refine_af.prompts.completions import Pair
from refine_af.prompts.markdown import plain_class_labels

LABEL = "Class label:"
YES = ("Yes", "yes", "YES")
NO = ("No", "no", "NO")


def is_classification(text: str) -> bool | None:
    """Whether a reply says that an instruction is a classification task.

    None where it says neither yes nor no, which the source takes for no.
    """
    said = text.strip()
    return True if said in YES else False if said in NO else None


def parse_class_labels(text: str, *, truncated: bool = False) -> list[Pair]:
    """The pairs in a reply, valid or not; none where it names no class label.

    After each "Class label:" the rest of the line is the output, and what stands below it, to the
    next one, the input. Of a `truncated` reply, which the length limit ended, the last pair is left
    out. Markdown around the labels does not count. Never raises, whatever the text.
    """
    parts = plain_class_labels(text).split(LABEL)[1:]
    pairs = [_pair(part) for part in parts]
    return pairs[:-1] if truncated else pairs


def _pair(text: str) -> Pair:
    label, _, given = text.strip().partition("\n")
    return Pair(given.strip(), label.strip())
