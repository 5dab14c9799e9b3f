from hypothesis import given
from hypothesis import strategies as st

from mlconsole.domain.text import lines, visible


def test_escape_sequences_are_shown_not_obeyed():
    assert visible("\x1b[31mred\x07") == "␛[31mred␇"


def test_bidirectional_and_zero_width_characters_are_named():
    assert visible("a\u202eb\u200bc\x9b") == "a<U+202E>b<U+200B>c<U+009B>"


def test_markup_is_left_as_it_is():
    assert visible("[bold]x[/bold]") == "[bold]x[/bold]"


@given(st.text(max_size=400), st.integers(min_value=1, max_value=300))
def test_result_is_printable_one_line_and_bounded(text, limit):
    shown = visible(text, limit)
    assert shown.isprintable()
    assert len(shown) <= limit


@given(st.text(max_size=2000))
def test_lines_are_bounded_in_number(text):
    assert len(lines(text, limit=5)) <= 5


def test_of_many_lines_the_newest_are_kept_and_the_first_says_so():
    assert lines("a\nb\nc\nd", limit=3) == ["… earlier lines are not shown", "c", "d"]
    assert lines("a\nb\nc", limit=3) == ["a", "b", "c"]
