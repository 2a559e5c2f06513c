"""Text for a terminal: numbers of things, and text from outside without control characters."""

import re

_LONGEST = 600  # characters of an error: a screen has a few lines for it
# Sequences that a terminal obeys: ESC [ ... letter, ESC ] ... BEL or ESC \, and ESC with one more.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
# All other control characters but tab and line feed, what turns the direction of writing, line
# breaks of Unicode, and halves of characters, which no stream can write.
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def counted(number: int, what: str) -> str:
    """Such as 1 row, 2 rows."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def printable(text: str) -> str:
    """The text without what a terminal would obey rather than show; lines and tabs stay."""
    return _CONTROL.sub("", _SEQUENCE.sub("", text))


def one_line(text: str) -> str:
    """The same in one line of at most 600 characters; of a longer one the middle is left out."""
    line = " ".join(printable(text).split())
    half = _LONGEST // 2
    return line if len(line) <= _LONGEST else f"{line[:half]} ... {line[-half:]}"
