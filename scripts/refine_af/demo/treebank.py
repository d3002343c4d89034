"""A treebank of the demo's instructions: the forms of its phrasings, as the Penn Treebank has them.

A form is written `[LABEL word/TAG ...]`, with the phrasings' own choices and slots; `@NAME` stands
for a part that several forms share.
"""

from __future__ import annotations

import re
from random import Random

from refine_af.demo.families import FAMILIES, UNANSWERABLE
from refine_af.demo.phrasings import spin

PARTS = {
    # Where the text to work on stands, after what is looked for there.
    "LIST": "{[PP in/IN [NP the/DT list/NN]]|[PP in/IN [NP this/DT row/NN]]"
    "|[PP from/IN [NP a/DT {shopping|score|price|team}/NN sheet/NN]]"
    "|[SBAR [WHNP that/WDT] [S [NP a/DT {JOB}/NN] [VP wrote/VBD [PRT down/RP]]]]"
    "|[VP given/VBN [PP to/IN [NP you/PRP]] [ADVP below/RB]]}",
    "TEXT": "{[PP in/IN [NP the/DT sentence/NN]]|[PP in/IN [NP this/DT short/JJ text/NN]]"
    "|[PP of/IN [NP the/DT statement/NN]]|[PP from/IN [NP the/DT {news|diary|letter}/NN line/NN]]"
    "|[SBAR [WHNP that/WDT] [S [NP a/DT {JOB}/NN] [VP wrote/VBD]]]}",
    "NUMBERS": "[NP [NP the/DT {numbers|values|integers}/NNS] @LIST]",
    "ITEMS": "{items|words|entries}/NNS",
    "FIRST": "[NP [NP the/DT {first|opening}/JJ {item|word|entry}/NN] @LIST]",
    "FIND": "{name|find|extract|identify}/VB",
    "PICK": "{find|pick|report|select}/VB",
    "REWRITE": "{rewrite|change|turn}/VB",
    "PASSAGE": "[NP the/DT {text|passage}/NN]",
    "SOME": "[NP {0}/CD {different/JJ|common/JJ|} {1}/NNS]",
    "STATEMENT": "[NP the/DT {sentence|statement}/NN]",
    "BELOW": "{[ADVP below/RB]|}",
}
FORMS = {
    "sort_up": "[VP {sort|order|arrange|put}/VB @NUMBERS {[PP from/IN [ADJP smallest/JJS] [PP to/IN"
    " [ADJP largest/JJS]]]|[PP in/IN [NP rising/VBG order/NN]]|[SBAR so/IN that/IN [S [NP they/PRP]"
    " [VP go/VBP [ADVP up/RB]]]]}]",
    "maximum": "[VP @PICK [NP [NP the/DT {largest|biggest|highest}/JJS {number|value|integer}/NN]"
    " @LIST]]",
    "first_item": "{[SBARQ [WHNP what/WP] [SQ is/VBZ @FIRST]]|[VP tell/VB [NP me/PRP] @FIRST]"
    "|[VP write/VB [PRT down/RP] @FIRST]|[VP name/VB @FIRST]}",
    "reverse": "[VP {{reverse|flip}/VB|turn/VB [PRT around/RP]} [NP [NP the/DT {order|sequence}/NN]"
    " [PP of/IN [NP [NP @ITEMS] @LIST]]]]",
    "count_items": "[VP {count|say|determine}/VB [SBAR [WHNP how/WRB many/JJ"
    " {items|things|entries}/NNS] {[S [NP there/EX] [VP are/VBP @LIST]]"
    "|[S [VP appear/VBP @LIST]]}]]",
    "join_and": "[VP {join|connect|combine}/VB [NP [NP the/DT {items|words|names}/NNS] @LIST]"
    " {[PP with/IN [NP the/DT word/NN and/CC]]|[S [VP using/VBG [NP and/CC] [PP between/IN"
    " [NP them/PRP]]]]}]",
    "bullet": "[VP {rewrite|format|present}/VB [NP [NP the/DT @ITEMS] @LIST] [PP as/IN"
    " {[NP a/DT bullet/NN list/NN]|[NP [NP points/NNS] [PP with/IN [NP dashes/NNS]]]}]]",
    "only_animals": "[VP {keep|extract|list|find}/VB [NP [NP {only|just}/RB the/DT animals/NNS]"
    " @LIST]]",
    "odd_out": "{[VP find/VB [NP [NP the/DT odd/JJ one/NN] [ADVP out/RP] @LIST]]|[VP spot/VB [NP"
    " [NP the/DT word/NN] [SBAR [WHNP that/WDT] [S [VP does/VBZ not/RB [VP fit/VB]]]] @LIST]]}",
    "continue": "[VP {complete|finish|continue}/VB [NP the/DT {series|row|chain}/NN] [PP with/IN"
    " [NP {one/CD more/JJR|another/DT} {fitting/JJ|} word/NN]]]",
    "opposite": "[VP {give|find|write|say}/VB [NP {[NP the/DT opposite/NN] [PP of/IN|[NP an/DT"
    " antonym/NN] [PP for/IN} [NP [NP the/DT {word|adjective}/NN] {[VP shown/VBN]|[ADVP below/RB]|}"
    "]]]]",
    "plural": "[VP {write|give|form}/VB [NP [NP the/DT plural/JJ {form/NN|}] [PP of/IN [NP"
    " [NP the/DT {noun|word}/NN] {[VP shown/VBN]|[ADVP below/RB]|}]]]]",
    "past_tense": "[VP {change|put|turn}/VB [NP [NP the/DT verb/NN] @BELOW] [PP into/IN [NP the/DT"
    " past/JJ {tense|form}/NN]]]",
    "kind": "[VP {decide/VB|classify/VB|tell/VB [NP me/PRP]} [SBAR {whether/IN [S [NP the/DT"
    " word/NN] [VP is/VBZ|if/IN [S [NP this/DT] [VP names/VBZ} [NP [NP an/DT animal/NN] ,/, [NP"
    " a/DT fruit/NN] ,/, [NP a/DT color/NN] or/CC [NP a/DT thing/NN]]]]]]",
    "upper": "[VP {write|print|show}/VB [NP [NP the/DT {word|noun}/NN] @BELOW] [PP in/IN [NP"
    " capital/NN letters/NNS]]]",
    "spell": "[VP {write|spell|express}/VB [NP [NP the/DT {number|digit}/NN] @BELOW] {[PP as/IN"
    " [NP a/DT word/NN]]|[PP in/IN [NP letters/NNS]]}]",
    "parity": "[VP {determine/VB [SBAR whether/IN|check/VB [SBAR if/IN} [S [NP [NP the/DT"
    " {number|integer|value}/NN] @BELOW] [ADJP even/JJ or/CC odd/JJ]]]]",
    "next_number": "[VP give/VB [NP [NP the/DT number/NN] [SBAR [WHNP that/WDT] [S [VP comes/VBZ"
    " {[ADVP right/RB]|[ADVP directly/RB]|} [PP after/IN [NP this/DT one/NN]]]]]]]",
    "larger": "{[SBARQ [WHNP [WHNP which/WDT] [PP of/IN [NP the/DT two/CD numbers/NNS]]] [SQ [VP"
    " is/VBZ [ADJP larger/JJR]]]]|[VP pick/VB [NP [NP the/DT bigger/JJR] [PP of/IN [NP two/CD"
    " numbers/NNS]]]]|[VP [VP compare/VB [NP the/DT pair/NN]] and/CC [VP report/VB [NP the/DT"
    " larger/JJR one/NN]]]}",
    "add": "[VP [VP {add|sum|total}/VB [NP [NP the/DT two/CD {numbers|amounts}/NNS] @BELOW]] and/CC"
    " [VP {give|report}/VB [NP the/DT {result|answer}/NN]]]",
    "who": "[VP @FIND [NP [NP the/DT {person|human}/NN] {[SBAR [WHNP who/WP] [S [VP is/VBZ [VP"
    " named/VBN]]]]|[VP mentioned/VBN]|} @TEXT]]",
    "place": "[VP @FIND [NP [NP the/DT {place|location|room}/NN] {[VP mentioned/VBN]|} @TEXT]]",
    "object": "[VP @FIND [NP [NP the/DT {object|item|thing}/NN] {[VP mentioned/VBN]|} @TEXT]]",
    "first_word": "[VP {{copy|give}/VB|write/VB [PRT out/RP]} [NP [NP the/DT {first|opening}/JJ"
    " word/NN] @TEXT]]",
    "future": "[VP {rewrite|change|convert}/VB @STATEMENT {[PP {to|into}/IN [NP the/DT future/NN"
    " {tense/NN|}]]|[SBAR so/IN that/IN [S [NP it/PRP] [VP speaks/VBZ [PP of/IN [NP the/DT"
    " future/NN {tense/NN|}]]]]]}]",
    "negate": "[VP @REWRITE @STATEMENT {[PP into/IN [NP its/PRP$ negative/JJ form/NN]]|[SBAR so/IN"
    " that/IN [S [NP it/PRP] [VP says/VBZ [NP the/DT contrary/NN]]]]}]",
    "question": "[VP {turn|convert|change}/VB @STATEMENT [PP into/IN [NP a/DT {[UCP yes/UH or/CC"
    " no/UH]|} question/NN]]]",
    "no_color": "[VP {shorten|rewrite}/VB @STATEMENT {[PP without/IN [NP the/DT color/NN]]|[PP"
    " by/IN [S [VP deleting/VBG [NP the/DT color/NN word/NN]]]]}]",
    "title": "[VP {write|create|suggest}/VB [NP [NP a/DT {title|headline}/NN] [PP for/IN [NP [NP"
    " the/DT {sentence|story|text}/NN] @BELOW]]]]",
    "passive": "[VP {put|rewrite|change}/VB @STATEMENT [PP {in|into}/IN [NP the/DT passive/JJ"
    " voice/NN]]]",
    "quote": "[VP {report|retell}/VB @STATEMENT [PP as/IN {[NP indirect/JJ speech/NN]|[NP [NP"
    " something/NN] [SBAR [WHNP that/WDT] [S [NP people/NNS] [VP say/VBP]]]]}]]",
    "swap_place": "[VP {replace|swap}/VB [NP [NP the/DT {place|room}/NN] [PP in/IN {[NP the/DT"
    " sentence/NN]|[NP this/DT text/NN]}]] [PP {with|for}/IN [NP the/DT {0}/NN]]]",
    "reader": "[VP {answer/VB [NP the/DT {question|query}/NN]|reply/VB [PP to/IN [NP the/DT"
    " {question|query}/NN]]} {[S [VP using/VBG @PASSAGE]]|[PP with/IN [NP [NP the/DT help/NN] [PP"
    " of/IN @PASSAGE]]]}]",
    "sentiment": "[VP {label|classify|judge}/VB [NP [NP the/DT {mood|sentiment|feeling}/NN] [PP"
    " of/IN [NP the/DT {review|comment|opinion}/NN]]] [PP as/IN [ADJP positive/JJ or/CC"
    " negative/JJ]]]",
    "polite": "[VP rewrite/VB [NP the/DT {command|request|order}/NN] [PP in/IN [NP a/DT"
    " {friendly/JJ way|kinder/JJR tone}/NN]]]",
    "name_some": "[VP {{name|list|suggest}/VB @SOME|think/VB [PP of/IN @SOME]}]",
    "capital": "{[SBARQ [WHNP what/WP] [SQ is/VBZ [NP [NP the/DT capital/NN {city/NN|}] [PP of/IN"
    " [NP {0}/NNP]]]]]|[VP {tell/VB [NP me/PRP]|write/VB} [NP [NP the/DT capital/NN {city/NN|}] [PP"
    " of/IN [NP {0}/NNP]]]]}",
    "use": "[VP {explain|describe|say}/VB [SBAR {[WHNP what/WP] [S [NP a/DT {0}/NN] [VP is/VBZ"
    " [PP for/IN]]]|[WHADVP why/WRB] [S [NP people/NNS] [VP need/VBP [NP a/DT {0}/NN]]]|[WHADVP"
    " how/WRB] [S [NP a/DT {0}/NN] [VP is/VBZ [VP used/VBN]]]}]]",
    "advice": "[VP {give|share|offer}/VB [NP {[NP {a/DT|one/CD} tip/NN]|[NP [NP {a/DT|one/CD}"
    " piece/NN] [PP of/IN [NP advice/NN]]]} [PP about/IN [NP {0}/NN]]] {[PP to/IN [NP a/DT"
    " {JOB}/NN]]|[PP for/IN [NP beginners/NNS]]|}]",
    "greet": "[VP {write|draft|compose}/VB [NP a/DT {short/JJ|friendly/JJ|}"
    " {greeting|note|message}/NN] [PP to/IN [NP {0}/NNP]] [PP for/IN [NP {1}/NNP]]]",
    "sentence_with": "[VP {make|write|build}/VB [NP [NP a/DT sentence/NN] {[PP with/IN [NP the/DT"
    " words/NNS {0}/NN and/CC {1}/NN]]|[SBAR [WHNP that/WDT] [S [VP contains/VBZ [NP {0}/NN and/CC"
    " {1}/NN]]]]|[VP using/VBG [NP {0}/NN and/CC {1}/NN]]}]]",
    "ask_job": "[VP {write|invent|prepare}/VB {[NP an/DT interview/NN question/NN]|[NP a/DT"
    " question/NN]} [PP for/IN [NP a/DT {0}/NN]] [PP about/IN [NP {1}/NN]]]",
    "compare": "[VP {compare|contrast}/VB [NP [NP a/DT {0}/NN] and/CC [NP a/DT {1}/NN]] {[ADVP"
    " briefly/RB]|[PP for/IN [NP a/DT child/NN]]|}]",
    "invite": "[VP {invite|ask}/VB [NP {0}/NNP] [S [VP to/TO [VP {meet|come}/VB [PP at/IN [NP"
    " the/DT {1}/NN]] [PP on/IN [NP {2}/NNP]]]]]]",
    "picture": "[VP {draw/VB|make/VB|show/VB [NP me/PRP]} [NP [NP a/DT {picture|graph|map}/NN]"
    " [PP of/IN {[NP a/DT {THING}/NN]|[NP the/DT {PLACE}/NN]|[NP {NAME}/NNP]}]]]",
    "file": "[VP {open|save|load}/VB [NP [NP the/DT {file|image}/NN] {[PP about/IN [NP {TOPIC}/NN]]"
    "|[PP from/IN [NP the/DT {PLACE}/NN]]|[PP of/IN [NP {NAME}/NNP]]}]]",
}
# What may stand before an imperative, and how the two are one sentence.
OPENINGS = [
    "[S @ ./.]",
    "[S @ ./.]",
    "[S @ ./.]",
    "[S [INTJ please/UH] @ ./.]",
    "[SQ can/MD [NP you/PRP] @ ./.]",
    "[S [NP your/PRP$ job/NN] [VP is/VBZ [S [VP to/TO @]]] ./.]",
    "[S [NP I/PRP] [VP want/VBP [S [NP you/PRP] [VP to/TO @]]] ./.]",
    "[S [PP for/IN [NP this/DT task/NN]] ,/, @ ./.]",
    "[S [S [VP help/VB [NP me/PRP]]] :/: [S @] ./.]",
    "[S [PP in/IN [NP this/DT exercise/NN]] ,/, @ ./.]",
    "[S [S [VP using/VBG [NP [NP the/DT text/NN] [VP given/VBN]]]] ,/, @ ./.]",
    "[S [PP as/IN [NP an/DT editor/NN]] ,/, @ ./.]",
]
_WORD = re.compile(r"([^\s\[\]]+)/([^\s\[\]]+)")
_PART = re.compile(r"@([A-Z]+)")


def draw_tree(random: Random, name: str) -> str:
    """The bracketed tree of an instruction of a family, its first letter a capital."""
    family = {**FAMILIES, **UNANSWERABLE}[name]
    form = FORMS[name]
    while _PART.search(form):
        form = _PART.sub(lambda part: PARTS[part[1]], form)
    values = [value.replace(" ", "/NN ") for value in family.values(random)]
    core = spin(random, form, values)
    if core.startswith("[SBARQ"):
        whole = f"{core[:-1]} ?/.]"
    else:
        whole = random.choice(OPENINGS).replace("@", core)
    return _capitalized(_WORD.sub(r"(\2 \1)", f"[TOP {whole}]"))


def treebank(random: Random, count: int) -> list[str]:
    """As many trees of random families."""
    return [draw_tree(random, random.choice(list(FORMS))) for _ in range(count)]


def _capitalized(form: str) -> str:
    """Brackets as the Penn Treebank has them, and the first word with a capital."""
    tree = " ".join(form.translate(_BRACKETS).split())
    return _FIRST.sub(lambda word: word[0][:-1] + word[0][-1].upper(), tree, count=1)


_BRACKETS = str.maketrans("[]", "()")
_FIRST = re.compile(r"\([^\s()]+ [^\s()]")
