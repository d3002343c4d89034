"""What a person did wrong, said in one message that names the file, line or key, and the value."""


class InputError(Exception):
    """A wrong setting, file or environment; the message is all that the user sees."""


def shown(value: object, limit: int = 80) -> str:
    """`value` as a message may print it: quoted, on one line, cut at `limit` characters."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
