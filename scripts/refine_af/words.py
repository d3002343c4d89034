"""Where the words of a text begin and end, in every script."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache

NOT_ROUGE = re.compile(r"[^a-z0-9]+")
# Scripts that put no space between words; their digits are left out, for a number is one word.
UNSPACED = (
    "\u0e01-\u0e4f\u0e80-\u0ecf\u0edc-\u0edf"  # Thai, Lao
    "\u1000-\u103f\u104a-\u108f\u109a-\u109f\ua9e0-\ua9ef\ua9fa-\ua9fe\uaa60-\uaa7f"  # Burmese
    "\u1780-\u17df"  # Khmer
    "\u1950-\u19cf\u1a20-\u1a7f\uaa80-\uaadf"  # Tai Le, New Tai Lue, Tai Tham, Tai Viet
    "\u1b00-\u1b4f\ua980-\ua9cf"  # Balinese, Javanese
    "\u3005-\u3007\u3021-\u3035\u3038-\u303c\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # kana
    "\u3100-\u312f\u31a0-\u31bf\ua000-\ua48f"  # Bopomofo, Yi
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "\U00017000-\U00018d8f\U0001aff0-\U0001b2ff"  # Tangut, Khitan, old kana, Nüshu
)
HAS_UNSPACED = re.compile(f"[{UNSPACED}]")
# The dots of Tibetan and Ethiopic, and a space without width, stand where others have a space.
LIKE_SPACES = re.compile("[\u0f0b\u0f0c\u1361\u200b]")
# A reader does not see these, or no letter in them: joiners, hyphens that may show, directions, the
# stroke that lengthens an Arabic word, variants of a letter.
UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u0640\u180b-\u180f\u200c-\u200f\u202a-\u202e\u2060-\u2069\ufe00-\ufe0f\ufeff"
    "\U000e0100-\U000e01ef]"
)
# Ligatures, letters by their place in a word, half and full width: other shapes of one letter.
SHAPES = re.compile("[\ufb00-\ufdff\ufe70-\ufefe\uff00-\uffef]+")


def words_of(text: str) -> list[str]:
    """The words as one counts them: what white space parts.

    Of what holds letters of a script without spaces, each such letter, with its marks, is a word,
    and so is each run of other letters and digits.
    """
    if text.isascii():
        return text.split()
    found: list[str] = []
    for piece in LIKE_SPACES.sub(" ", text).split():
        found += _word().findall(_composed(piece)) if HAS_UNSPACED.search(piece) else [piece]
    return found


def rouge_tokens(text: str) -> list[str]:
    """rouge_score's tokens without stemmer (google-research rouge_score 0.1.2, tokenize.py)."""
    return NOT_ROUGE.sub(" ", text.lower()).split()


def unicode_tokens(text: str) -> list[str]:
    """Runs of letters, their marks and digits, case folded; where no space parts words, letters.

    Those of ASCII text are `rouge_tokens`. Equal to a reader is equal here: characters are
    composed (NFC), other shapes of a letter are the letter, and what is not seen is left out.
    """
    if text.isascii():
        return rouge_tokens(text)
    return _word().findall(_composed(_composed(text).casefold()))


TOKENIZERS: dict[str, Callable[[str], list[str]]] = {
    "rouge": rouge_tokens,
    "unicode": unicode_tokens,
}


def holds_keyword(text: str, keywords: Sequence[str]) -> bool:
    """Whether one of the keywords stands in a text as a word, in capitals or not.

    Where a keyword begins or ends in a script without spaces, anything may stand there beside it.
    """
    return bool(keywords) and bool(_keywords(tuple(keywords)).search(_composed(text)))


def begins_with(text: str, prefixes: Sequence[str]) -> bool:
    """Whether a text begins with one of the prefixes, in capitals or not."""
    return _composed(text).casefold().startswith(tuple(_composed(x).casefold() for x in prefixes))


def _composed(text: str) -> str:
    """A text without what a reader cannot see, each letter in one of the ways to write it."""
    if text.isascii():
        return text
    shaped = SHAPES.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text)
    return unicodedata.normalize("NFC", UNSEEN.sub("", shaped))


@cache
def _word() -> re.Pattern[str]:
    """A word of `unicode_tokens`, in a text that is composed."""
    marks = _characters("Mn", "Mc")
    others = _characters("No")  # ², ½ and ① are no words, as they are none to rouge_score
    alone = rf"(?=[{UNSPACED}])[^\W_][{marks}]*"
    return re.compile(rf"{alone}|[^\W_{others}{UNSPACED}](?:[^\W_{others}{UNSPACED}]|[{marks}])*")


@cache
def _keywords(keywords: tuple[str, ...]) -> re.Pattern[str]:
    """One of the keywords, not within a longer word."""
    marks = _characters("Mn", "Mc")
    spaced = HAS_UNSPACED.sub("", marks)
    before = rf"(?<![^\W{UNSPACED}])(?<![{spaced}])"
    after = rf"(?![^\W{UNSPACED}])(?![{spaced}])"
    kinds: dict[tuple[str, str], list[str]] = {}
    for keyword in map(_composed, keywords):
        left = "" if HAS_UNSPACED.match(keyword) else before
        right = rf"(?![{marks}])" if HAS_UNSPACED.match(keyword[-1:]) else after
        kinds.setdefault((left, right), []).append(re.escape(keyword))
    forms = [f"{left}(?:{'|'.join(kind)}){right}" for (left, right), kind in kinds.items()]
    return re.compile("|".join(forms), re.IGNORECASE)


@cache
def _characters(*categories: str) -> str:
    """The characters beyond ASCII of some general categories, in the planes that have alphabets."""
    every = map(chr, range(128, 0x20000))
    return "".join(char for char in every if unicodedata.category(char) in categories)
