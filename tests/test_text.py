"""Text from outside on its way to a terminal."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adiw_tune.text import one_line, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;another title\x07name", "name"),
        ("\x1b]8;;http://h\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b31mred", "red"),
        ("over\rwritten\x08\x7f", "overwritten"),
        ("\u202egnp.exe", "gnp.exe"),
        ("half \ud800", "half "),
        ("two\nlines\tand a tab: é 漢 😀", "two\nlines\tand a tab: é 漢 😀"),
        ("\x1b", ""),
        ("\x1b]never ended", ""),
    ],
)
def test_what_a_terminal_would_obey_is_left_out_and_the_rest_stays(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters(max_codepoint=0x2070), max_size=30))
@example("\x1b\x1b[[31m31m")  # what is left must not come together to a new one
@settings(max_examples=200, deadline=None)
def test_no_control_character_is_left(text: str) -> None:
    left = printable(text).replace("\n", "").replace("\t", "")
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in left)
    assert printable(left) == left


def test_an_error_is_one_line_of_a_length_that_can_be_read() -> None:
    assert one_line("a\nb\r\n  c\u2028d") == "a b cd"
    line = one_line("unknown task '" + 5000 * "x" + "': choose one of digits")
    assert len(line) < 620
    assert line.startswith("unknown task 'xxx")
    assert line.endswith("xxx': choose one of digits")
