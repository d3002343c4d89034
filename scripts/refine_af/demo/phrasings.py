"""How the tasks of the demo's corpus are phrased: a small grammar of instructions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

from refine_af.demo import words

_LIST = (
    " {in the list|in this row|from a {shopping|score|price|team} sheet"
    "|that a {JOB} wrote down|given to you below}"
)
_TEXT = (
    " {in the sentence|in this short text|of the statement|from the {news|diary|letter} line"
    "|that a {JOB} wrote}"
)
_NUMBERS = "{numbers|values|integers}"
_ITEM = "{item|word|entry}"
_ITEMS = "{items|words|entries}"
_FIND = "{name|find|extract|identify}"
_PICK = "{find|pick|report|select}"
_REWRITE = "{rewrite|change|turn}"
_STATEMENT = "{sentence|statement}"

PHRASINGS = {
    # Lists of numbers and words.
    "sort_up": f"{{sort|order|arrange|put}} the {_NUMBERS}{_LIST} "
    "{from smallest to largest|in rising order|so that they go up}",
    "sort_down": f"{{sort|order|arrange|put}} the {_NUMBERS}{_LIST} "
    "{from largest to smallest|in falling order|so that they go down}",
    "maximum": f"{_PICK} the {{largest|biggest|highest}} {{number|value|integer}}{_LIST}",
    "minimum": f"{_PICK} the {{smallest|lowest}} {{number|value|integer}}{_LIST}",
    "first_item": f"{{what is|tell me|write down|name}} the {{first|opening}} {_ITEM}{_LIST}"
    "{|, please}",
    "last_item": f"{{what is|tell me|write down|name}} the {{last|final}} {_ITEM}{_LIST}"
    "{|, please}",
    "reverse": f"{{reverse|turn around|flip}} the {{order|sequence}} of {_ITEMS}{_LIST}",
    "count_items": f"{{count|say|determine}} how many {{items|things|entries}} "
    f"{{there are|appear}}{_LIST}",
    "join_and": f"{{join|connect|combine}} the {{items|words|names}}{_LIST} "
    "{with the word and|using and between them}",
    "drop_first": f"{{drop|delete|remove|skip}} the {{first|opening}} {_ITEM}{_LIST} "
    "and {keep|show|repeat} the rest",
    "bullet": f"{{rewrite|format|present}} the {_ITEMS}{_LIST} "
    "as {a bullet list|points with dashes}",
    "only_animals": f"{{keep|extract|list|find}} {{only|just}} the animals{_LIST}",
    "only_fruit": f"{{keep|extract|list|find}} {{only|just}} the fruits{_LIST}",
    "odd_out": "{which word does not belong|find the odd one out|spot the word that does not fit}"
    + _LIST,
    "continue": "{complete|finish|continue} the {series|row|chain} "
    "with {one more|another} {fitting |}word",
    # Single words and numbers.
    "opposite": "{give|find|write|say} "
    "{the opposite of|a word that means the reverse of|an antonym for} "
    "the {word|adjective}{| shown| below}",
    "plural": "{write|give|form} the plural {form |}of the {noun|word}{| shown| below}",
    "past_tense": "{change|put|turn} the verb {below |}into the past {tense|form}",
    "kind": "{decide|tell me|classify} {whether the word is|if this names} "
    "an animal, a fruit, a color or a thing",
    "upper": "{write|print|show} the {word|noun} {below |}in capital letters",
    "spell": "{write|spell|express} the {number|digit} {below |}{as a word|in letters}",
    "parity": "{is|determine whether|check if} the {number|integer|value} {below |}even or odd",
    "next_number": "{which number comes|give the number that comes|say what comes} "
    "{right |directly |}after {this one|the one below}",
    "larger": "{which of the two numbers is larger|pick the bigger of two numbers"
    "|compare the pair and report the larger one}",
    "smaller": "{which of the two numbers is smaller|pick the lesser of two numbers"
    "|compare the pair and report the smaller one}",
    "add": "{add|sum|total} the two {numbers|amounts} {below |}and {give|report} the "
    "{result|answer}",
    # Sentences.
    "who": f"{_FIND} the {{person|human}}{{| who is named| mentioned}}{_TEXT}",
    "place": f"{_FIND} the {{place|location|room}}{{| mentioned}}{_TEXT}",
    "color": f"{_FIND} the {{color|shade}}{{| mentioned}}{_TEXT}",
    "object": f"{_FIND} the {{object|item|thing}}{{| mentioned| being handled}}{_TEXT}",
    "verb": f"{_FIND} the {{verb|action word}}{{| used}}{_TEXT}",
    "first_word": f"{{copy|give|write out}} the {{first|opening}} word{_TEXT}",
    "where": "{answer|reply to} the {question|query} {about|asking about} the place of the event",
    "future": f"{{rewrite|change|convert}} the {_STATEMENT} "
    "{so that it speaks of|to|into} the future{| tense}",
    "negate": f"{_REWRITE} the {_STATEMENT} "
    "{into its negative form|so that it says the contrary}",
    "question": f"{{turn|convert|change}} the {_STATEMENT} into a {{yes or no |}}question",
    "no_color": f"{{shorten|rewrite}} the {_STATEMENT} "
    "{without the color|by deleting the color word}",
    "no_place": f"{{shorten|rewrite}} the {_STATEMENT} "
    "{without the place|by deleting where it happened}",
    "title": "{write|create|suggest} a {title|headline} for the {sentence|story|text}{| below}",
    "passive": f"{{put|rewrite|change}} the {_STATEMENT} {{in|into}} the passive voice",
    "exclaim": f"{{make|turn}} the {_STATEMENT} {{more excited|into an exclamation}}",
    "quote": f"{{report|retell}} the {_STATEMENT} "
    "{as indirect speech|as something that people say}",
    "swap_name": "{replace|swap} the {person|name} {in the sentence|in this text} {with|for} {0}",
    "swap_place": "{replace|swap} the {place|room} {in the sentence|in this text} "
    "{with|for} the {0}",
    "reader": "{answer|reply to} the {question|query} {using|with the help of} the {text|passage}",
    "sentiment": "{label|classify|judge} the {mood|sentiment|feeling} "
    "of the {review|comment|opinion} {as|to be} positive or negative",
    "polite": "{make|rewrite} the {command|request|order} "
    "{more polite|in a friendly way|in a kinder tone}",
    # Tasks that read nothing.
    "name_some": "{name|list|suggest|think of} {0} {different |common |}{1}"
    "{| for a game| that {NAME} may know|, separated by commas}",
    "capital": "{what is|tell me|write} the capital {city |}of {0}",
    "use": "{explain|describe|say} {what a {0} is for|why people need a {0}|how a {0} is used}",
    "advice": "{give|share|offer} {a|one} {tip|piece of advice} about {0}"
    "{| to a {JOB}| for beginners}",
    "greet": "{write|draft|compose} a {short |friendly |}{greeting|note|message} to {0} for {1}",
    "sentence_with": "{make|write|build} a sentence {with the words|that contains|using} "
    "{0} and {1}",
    "day_after": "{which|what} day {comes|follows|is} {right |}after {0}",
    "ask_job": "{write|invent|prepare} {an interview question|a question} for a {0} about {1}",
    "compare": "{compare|contrast} a {0} and a {1}{| briefly| for a child}",
    "invite": "{invite|ask} {0} to {meet|come} at the {1} on {2}",
    # Tasks that no text answers, which a filter by keyword is there to refuse.
    "picture": "{draw|make|show me} a {picture|graph|map} of {a {THING}|the {PLACE}|{NAME}}",
    "file": "{open|save|load} the {file|image} {about {TOPIC}|from the {PLACE}|of {NAME}}",
}

_PLAIN_OPENINGS = [
    *[""] * 3,
    "please ",
    "can you ",
    "your job is to ",
    "I want you to ",
    "for this task, ",
    "help me: ",
    "in this exercise, ",
]
_READING_OPENINGS = [*_PLAIN_OPENINGS, "using the text given, ", "as an editor, "]
_ENDINGS = [
    *[""] * 4,
    " Answer in one line.",
    " Do not explain anything.",
    " Keep the reply brief.",
    " Write only the result.",
    " There is one correct reply.",
    " Give me nothing else.",
    " Be careful and precise.",
    " It is for a school quiz.",
]
_SLOTS = {
    "JOB": words.JOBS,
    "TOPIC": words.TOPICS,
    "NAME": words.NAMES,
    "PLACE": words.PLACES,
    "THING": words.THINGS,
}
_SLOT = re.compile(r"\{([A-Z]+|\d)\}")
_CHOICE = re.compile(r"\{([^{}]*\|[^{}]*)\}")


def pattern(phrasing: str) -> str:
    """The regular expression of a phrasing's forms; any word may stand in a slot."""
    return _SLOT.sub(r"\\w+", phrasing).replace("{", "(?:").replace("}", ")")


_WHERE = re.compile(f"(?:{pattern(_LIST)}|{pattern(_TEXT)}| shown| below)")


def phrase(random: Random, phrasing: str, values: Sequence[str], *, reads: bool) -> str:
    """An instruction in one of the phrasing's forms; `reads` where the task has an input."""
    core = spin(random, phrasing, values)
    question = re.match(r"(what|which|is)\b", core) is not None
    opening = random.choice(_READING_OPENINGS if reads else _PLAIN_OPENINGS)
    ending = random.choice(_ENDINGS) if reads or random.random() < 0.4 else ""
    if question:
        opening = ""
    text = opening + core + ("?" if question else ".") + ending
    return text[:1].upper() + text[1:]


def core(instruction: str) -> str:
    """An instruction without its opening, its ending and where the text to work on stands."""
    text = instruction
    for ending in filter(None, _ENDINGS):
        text = text.removesuffix(ending)
    for opening in filter(None, _READING_OPENINGS):
        text = text.removeprefix(opening[:1].upper() + opening[1:])
    return _WHERE.sub("", text)


def spin(random: Random, phrasing: str, values: Sequence[str]) -> str:
    """A phrasing with its slots filled and one of each choice taken, the innermost first."""

    def fill(slot: re.Match[str]) -> str:
        name = slot[1]
        return values[int(name)] if name.isdigit() else random.choice(_SLOTS[name])

    text = _SLOT.sub(fill, phrasing)
    while choice := _CHOICE.search(text):
        chosen = random.choice(choice[1].split("|"))
        text = text[: choice.start()] + chosen + text[choice.end() :]
    return text
