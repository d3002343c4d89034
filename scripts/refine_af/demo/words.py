"""The words that the demo's corpus is made of."""

from __future__ import annotations


def _row(text: str) -> list[str]:
    return text.split()


def _pairs(left: str, right: str) -> dict[str, str]:
    return dict(zip(_row(left), _row(right), strict=True))


NAMES = _row("Anna Ben Carla David Emma Felix Grace Hugo Iris Jack Kate Leo Mia Noah Olga Paul")
ANIMALS = _row("cat dog horse tiger rabbit eagle whale goat monkey bear fox owl")
FRUITS = _row("apple banana cherry lemon mango orange peach pear plum grape")
COLORS = _row("red blue green yellow black white purple brown")
PLACES = _row("kitchen garden office library garage station market school park hotel")
JOBS = _row("teacher doctor farmer pilot painter baker nurse driver singer writer")
SIZES = _row("small large old new heavy light")
PRAISE = _row("lovely great bright pleasant brilliant charming")
BLAME = _row("awful boring broken terrible ugly dull")
DAYS = _row("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
COUNTS = _row("zero one two three four five six seven eight nine ten eleven twelve")

USES = {
    "lamp": "light a room",
    "chair": "sit down",
    "clock": "tell the time",
    "bottle": "hold water",
    "basket": "carry fruit",
    "hammer": "hit nails",
    "pencil": "write notes",
    "ladder": "reach high shelves",
    "mirror": "see your face",
    "wallet": "keep money",
}
THINGS = list(USES)
TIPS = {
    "cooking": "taste the food often",
    "music": "practice every day",
    "sports": "warm up first",
    "weather": "take an umbrella",
    "travel": "pack a light bag",
    "school": "ask many questions",
    "gardening": "water the plants early",
    "money": "save a little each week",
    "friendship": "listen with care",
    "reading": "read before sleep",
    "health": "drink more water",
    "work": "make a short plan",
}
TOPICS = list(TIPS)

CAPITALS = _pairs(
    "France Italy Spain Japan Egypt Greece Norway Peru Kenya Cuba",
    "Paris Rome Madrid Tokyo Cairo Athens Oslo Lima Nairobi Havana",
)
OPPOSITES = _pairs(
    "hot big fast happy early open hard light full strong rich young",
    "cold small slow sad late closed soft dark empty weak poor old",
)
PAST = _pairs(
    "find take buy hide clean move lose paint sell carry",
    "found took bought hid cleaned moved lost painted sold carried",
)
PARTICIPLES = {**PAST, "hide": "hidden", "take": "taken"}
VERBS = list(PAST)

KINDS = {
    **dict.fromkeys(ANIMALS, "animal"),
    **dict.fromkeys(FRUITS, "fruit"),
    **dict.fromkeys(COLORS, "color"),
    **dict.fromkeys(THINGS, "thing"),
}
WORDS = list(KINDS)
PLURALS = {word: word + "s" for word in [*ANIMALS, *THINGS, *JOBS] if word != "fox"}
