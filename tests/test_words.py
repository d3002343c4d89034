"""Words: parted as people count them in every script, and equal where a reader sees the same."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_af.words import begins_with, holds_keyword, rouge_tokens, unicode_tokens, words_of

WORDS = {
    "It's a well-known  fact — 3 x 4!": ["It's", "a", "well-known", "fact", "—", "3", "x", "4!"],
    "Напиши стихи о весне.": ["Напиши", "стихи", "о", "весне."],
    "मैं हिन्दी — नहीं": ["मैं", "हिन्दी", "—", "नहीं"],
    "바다를 그려 주세요.": ["바다를", "그려", "주세요."],
    "写诗，再画猫。": ["写", "诗", "再", "画", "猫"],
    "用Python 3写 — 好": ["用", "Python", "3", "写", "—", "好"],
    "二〇二四年12月": ["二", "〇", "二", "四", "年", "12", "月"],
    "人々のコーヒー": ["人", "々", "の", "コ", "ー", "ヒ", "ー"],
    "か\u3099 ｶﾞ": ["が", "ガ"],  # a letter and its mark
    "ที่นี่ ๑๒๓": ["ที่", "นี่", "๑๒๓"],
    "ສະບາຍດີ": ["ສ", "ະ", "ບ", "າ", "ຍ", "ດີ"],
    "ខ្មែរ": ["ខ្", "មែ", "រ"],
    "မြန်မာ": ["မြ", "န်", "မာ"],
    "བོད་སྐད།": ["བོད", "སྐད།"],  # a dot ends a syllable
    "ሰላም፡ለዓለም": ["ሰላም", "ለዓለም"],
    "𠮷野": ["𠮷", "野"],
    "": [],
    "。，": ["。，"],
}


@pytest.mark.parametrize("text", WORDS)
def test_words_by_hand(text: str) -> None:
    assert words_of(text) == WORDS[text]


SAME = {
    "in one code point or two": ("Café Ångström", "Cafe\u0301 A\u030angstro\u0308m"),
    "Hangul by syllable or letter": ("한국어", unicodedata.normalize("NFD", "한국어")),
    "capitals": ("ΣΑΣ Straße МИР", "σας STRASSE мир"),
    "full and half width": ("Ｔｅｓｔ１ カタカナ", "test1 ｶﾀｶﾅ"),
    "the shape in a word": ("\ufefc \ufb01le", "لا file"),
    "joiners": ("می\u200cخواهم क्\u200dष", "میخواهم क्ष"),
    "a hyphen that may show": ("hy\u00adphen", "hyphen"),
    "directions": ("\u200fשלום\u200e \u2067مرحبا\u2069", "שלום مرحبا"),
    "the stroke that lengthens a word": ("كتـــاب", "كتاب"),
    "a variant of a letter": ("葛\U000e0100飾\ufe00", "葛飾"),
    "punctuation": ("写诗，再画猫。", "写诗再画猫"),
}


@pytest.mark.parametrize("name", SAME)
def test_what_reads_the_same_has_the_same_tokens(name: str) -> None:
    first, second = SAME[name]
    assert unicode_tokens(first) == unicode_tokens(second) != []


TOKENS = {
    "the letters’ “marks” — x² ½ ① 1\ufe0f\u20e3 Windows™ 10℃ ❤\ufe0f": [
        *("the", "letters", "marks", "x", "1", "windows", "10")
    ],
    "snake_case عَرَبِيّ": ["snake", "case", "عَرَبِيّ"],
    "३ चित्र": ["३", "चित्र"],
    "\u0301a \u0e31ก": ["a", "ก"],  # a mark without a letter is no word
    "Ⅷ 〇": ["ⅷ", "〇"],
    "\ud800 \x00": [],
}


@pytest.mark.parametrize("text", TOKENS)
def test_tokens_by_hand(text: str) -> None:
    assert unicode_tokens(text) == TOKENS[text]


@given(st.text(st.characters(max_codepoint=127)))
def test_english_is_what_it_was(text: str) -> None:
    assert words_of(text) == text.split()
    assert unicode_tokens(text) == rouge_tokens(text)
    for keyword in ("go to", "map", "a"):
        padded = f" {text.casefold()} "
        if f" {keyword} " in padded:
            assert holds_keyword(text, [keyword])


@given(st.text())
def test_any_text_has_words(text: str) -> None:
    assert all(words_of(text)) and all(unicode_tokens(text))
    assert bool(words_of(text)) >= bool(unicode_tokens(text))
    assert unicode_tokens(" ".join(unicode_tokens(text))) == unicode_tokens(text)


@pytest.mark.parametrize(
    ("text", "keyword", "held"),
    [
        ("Describe the Picture in words", "picture", True),
        ("Describe the pictures", "picture", False),
        ("a picture_book", "picture", False),
        ("请画一张图片并说明理由。", "图片", True),
        ("请画一张图并说明理由。", "图片", False),
        ("请写一个image并说明", "image", True),  # Latin letters between others are a word
        ("请写一个images并说明", "image", False),
        ("用AI画像を作る", "ai画像", True),
        ("用XAI画像を作る", "AI画像", False),
        ("海の画像を選ぶ", "画像", True),
        ("ｶﾞｿﾞｳを選ぶ", "ガゾウ", True),
        ("เลือกรูปภาพทะเล", "รูปภาพ", True),
        ("ที่", "ที", False),  # a mark makes another letter of it
        ("គូររូបភាពមួយ", "រូបភាព", True),
        ("ແຕ້ມຮູບພາບໜຶ່ງ", "ຮູບພາບ", True),
        ("ပုံတစ်ပုံဆွဲပါ", "ပုံ", True),
        ("एक चित्र बनाओ", "चित्र", True),
        ("एक चित्रकार बनो", "चित्र", False),
        ("एक चित्र बनाओ", "चित", False),  # marks belong to their word
        ("ارسم صورة للبحر", "صورة", True),
        ("ارسم صورةً للبحر", "صورة", False),
        ("Выбери КАРТИНКУ с морем", "картинку", True),
        ("바다 사진 한 장", "사진", True),
        (unicodedata.normalize("NFD", "바다 사진 한 장"), "사진", True),
        ("C++ (draw)", "c++", True),
    ],
)
def test_keywords(text: str, keyword: str, held: bool) -> None:
    assert holds_keyword(text, [keyword]) is held
    assert holds_keyword(text, ["zebra", keyword, "斑马"]) is held


def test_no_keyword_is_held_by_nothing() -> None:
    assert not holds_keyword("anything", [])


def test_beginnings() -> None:
    assert begins_with("write a Program that", ["Write a program"])
    assert begins_with("编写一个程序来排序", ["说明", "编写一个程序"])
    assert begins_with("E\u0301cris un programme", ["écris"])
    assert not begins_with("请编写一个程序", ["编写一个程序"])
    assert not begins_with("anything", [])
