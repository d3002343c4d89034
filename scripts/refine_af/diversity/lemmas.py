"""Lemmas of English verbs and nouns by their Penn tags: irregular forms are listed.

Regular ones are spelled back by rules. No list of all words is at hand, so that a rare form may
come out wrongly; base forms, which most instructions hold, are kept as they are.
"""

from __future__ import annotations

import re

# Forms by lemma; those of verbs are past and participle.
VERBS = {
    "become": "became", "begin": "began begun", "bind": "bound", "break": "broke broken",
    "bring": "brought", "build": "built", "buy": "bought", "catch": "caught",
    "choose": "chose chosen", "come": "came", "deal": "dealt", "do": "does did done doing",
    "draw": "drew drawn", "drink": "drank drunk", "drive": "drove driven", "eat": "ate eaten",
    "fall": "fell fallen", "feed": "fed", "feel": "felt", "fight": "fought", "find": "found",
    "fly": "flew flown", "forget": "forgot forgotten", "freeze": "froze frozen",
    "get": "got gotten", "give": "gave given", "go": "goes went gone going", "grow": "grew grown",
    "have": "has had", "hear": "heard", "hide": "hid hidden", "hold": "held", "keep": "kept",
    "know": "knew known", "lay": "laid", "lead": "led", "leave": "left", "lend": "lent",
    "lie": "lying", "lose": "lost", "make": "made", "mean": "meant", "meet": "met", "pay": "paid",
    "ride": "rode ridden", "ring": "rang rung", "rise": "rose risen", "run": "ran",
    "say": "said", "see": "saw seen seeing", "seek": "sought", "sell": "sold", "send": "sent",
    "shake": "shook shaken", "shine": "shone", "show": "shown", "sing": "sang sung",
    "sit": "sat", "sleep": "slept", "speak": "spoke spoken", "spend": "spent",
    "stand": "stood", "steal": "stole stolen", "swim": "swam swum", "take": "took taken",
    "teach": "taught", "tell": "told", "think": "thought", "throw": "threw thrown",
    "understand": "understood", "wake": "woke woken", "wear": "wore worn", "win": "won",
    "write": "wrote written", "rewrite": "rewrote rewritten rewriting", "undo": "undid undone",
    "agree": "agreed agreeing", "free": "freed freeing", "die": "dying", "tie": "tying",
    "add": "added adding", "control": "controlled controlling", "explore": "explored exploring",
    "focus": "focused focusing", "ignore": "ignored ignoring", "invite": "invited inviting",
    "restore": "restored restoring", "unite": "united uniting",
}  # fmt: skip
NOUNS = {
    "man": "men", "woman": "women", "child": "children", "person": "people", "foot": "feet",
    "tooth": "teeth", "goose": "geese", "mouse": "mice", "criterion": "criteria",
    "phenomenon": "phenomena", "hypothesis": "hypotheses", "analysis": "analyses",
    "basis": "bases", "thesis": "theses", "synthesis": "syntheses", "crisis": "crises",
    "synopsis": "synopses", "parenthesis": "parentheses", "emphasis": "emphases", "axis": "axes",
    "datum": "data", "medium": "media", "stimulus": "stimuli", "series": "series",
    "species": "species", "news": "news", "means": "means", "mathematics": "mathematics",
    "physics": "physics", "politics": "politics", "statistics": "statistics",
    "lyrics": "lyrics", "life": "lives", "wife": "wives", "knife": "knives", "leaf": "leaves",
    "half": "halves", "shelf": "shelves", "self": "selves", "wolf": "wolves", "loaf": "loaves",
    "movie": "movies", "cookie": "cookies", "calorie": "calories", "bus": "buses",
    "quiz": "quizzes", "gas": "gases", "lens": "lenses", "status": "statuses",
    "shoe": "shoes", "toe": "toes", "ache": "aches", "headache": "headaches",
}  # fmt: skip
VERB_OF = {form: lemma for lemma, forms in VERBS.items() for form in forms.split()}
NOUN_OF = {form: lemma for lemma, form in NOUNS.items()}

HISSING = re.compile(r"(?:ss|sh|ch|x|zz)es$")
DOUBLED = re.compile(r"([bdgkmnprt])\1$")
# One syllable of a vowel and a consonant, which would be doubled without an e: hoping and hopping.
SHORT = re.compile(r"[^aeiou]*[aeiou][^aeiouwxy]")
# Endings of a stem that has lost an e, by the letter that they end in; most have no vowel before.
LOST_E = re.compile(
    r"(?:ib|[aeioun]c|rc|[^eo]ad|[^e]ed|(?:[^aeiou]|gu)id|[^o]od|[^ao]ud|[aeio]g|dg|[cr][ha]*ang|lleng|rg"
    r"|[^eo]ak|ik|[^o]ok|[bcdfgkptz]l|[^aeiou]il|ul|yl|um|[^aeiou]im|[^aeiou]in|[^eo]ap|yp|[^e]ar"
    r"|[^a]ir|[^o]ur|[aiou]s|[lnpr]s|[^eo]at|creat|[lp]et|[^o]ot|[^o]ut|u|v|z)$"
)


def verb_lemma(form: str, tag: str) -> str:
    """The lemma of a verb's form, in small letters."""
    word = form.lower()
    if tag in ("VB", "VBP"):
        return word
    if word in VERB_OF:
        return VERB_OF[word]
    if tag == "VBZ":
        return _without_s(word, also_oes=True)
    ending = "ing" if tag == "VBG" else "ed"
    stem = word.removesuffix(ending)
    if stem == word or not re.search("[aeiouy]", stem):
        return word
    return _spelled_back(stem)


def noun_lemma(form: str, tag: str) -> str:
    """The lemma of a noun's form, in small letters."""
    word = form.lower()
    if tag != "NNS":
        return word
    return NOUN_OF.get(word) or _without_s(word, also_oes=word.endswith(("toes", "roes")))


def _without_s(word: str, *, also_oes: bool) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if HISSING.search(word) or (also_oes and word.endswith("oes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def _spelled_back(stem: str) -> str:
    """The lemma whose stem, before -ed or -ing, is given."""
    if DOUBLED.search(stem):
        return stem[:-1]
    if stem.endswith("i"):
        return stem[:-1] + "y"
    return stem + "e" if SHORT.fullmatch(stem) or LOST_E.search(stem) else stem
