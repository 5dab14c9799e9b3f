"""Lines of spans fit the cells they are given, whatever is in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from mlconsole.ui.render import words
from mlconsole.ui.spans import (
    Slot,
    Span,
    fit,
    fitted,
    flowed,
    joined,
    line,
    parted,
    plain,
    right,
    sides,
    width_of,
    wrapped,
)
from mlconsole.ui.widgets.columns import GAP, Column, widths
from mlconsole.ui.widgets.lines import changed

texts = st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs", "Mn", "Me", "Cn", "Co", "Zl", "Zp")), max_size=30)
lines = st.lists(st.builds(Span, texts, st.sampled_from(Slot)), max_size=5).map(tuple)


@given(lines, st.integers(0, 40))
def test_a_fitted_line_has_exactly_its_width(content, width):
    assert width_of(fit(content, width)) == width


@given(lines, st.integers(1, 40))
def test_what_was_cut_ends_in_an_ellipsis_and_what_fits_is_kept(content, width):
    text = plain(fit(content, width))
    if width_of(content) <= width:
        assert text.startswith(plain(content))
    else:
        assert text.rstrip().endswith("…")


@given(lines, lines, st.integers(1, 60))
def test_both_sides_of_a_line_stand_at_its_edges(left, end, width):
    found = sides(left, end, width)
    assert width_of(found) == width
    if 0 < width_of(end) < width:
        assert plain(found).endswith(plain(end))


@given(texts, st.integers(1, 30))
def test_wrapped_text_stays_in_its_width(text, width):
    for piece in wrapped(text, width, most=50):
        assert width_of(piece) <= max(width, 2)


@given(lines, lines, st.integers(1, 40))
def test_outside_of_the_changed_cells_two_lines_are_the_same(before, after, width):
    found = changed(before, after, width)
    old, new = plain(fit(before, width)), plain(fit(after, width))
    if found is None:
        assert old == new
        return
    first, last = found
    assert 0 <= first < last <= width
    if old.isascii() and new.isascii():
        assert old[:first] == new[:first]
        assert old[last:] == new[last:]


def test_empty_parts_leave_no_separator():
    assert plain(joined([line("a"), (), line("b")], " · ")) == "a · b"
    assert plain(right(line("7"), 3)) == "  7"


@given(
    st.lists(
        st.builds(
            Column, texts, st.integers(1, 8), st.integers(8, 40), st.booleans(), st.just(False), st.integers(0, 9)
        ),
        max_size=6,
    ),
    st.lists(st.lists(texts, min_size=6, max_size=6), max_size=4),
    st.integers(0, 120),
)
def test_columns_never_take_more_than_there_is(columns, rows, width):
    found = widths(columns, [[cell_len(text) for text in row[: len(columns)]] for row in rows], width)
    shown = [size for size in found if size]
    kept = [column for column, size in zip(columns, found, strict=True) if size]
    minimum = len(kept) + GAP * max(0, len(kept) - 1)
    assert sum(shown) + GAP * max(0, len(shown) - 1) <= max(width, minimum)


def test_columns_give_way_in_their_order_and_one_takes_what_is_left():
    columns = (Column("", 6, 40, grows=True), Column("", 4, 4, drop=1), Column("", 4, 4, drop=2))
    row = [6, 4, 4]
    assert widths(columns, [row], 40) == [28, 4, 4]
    assert widths(columns, [row], 17) == [11, 4, 0]
    assert widths(columns, [row], 8) == [8, 0, 0]
    assert widths(columns, [row], 3) == [3, 0, 0]


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (words.latency(0.212), "212 ms"),
        (words.latency(0.0042), "4.2 ms"),
        (words.latency(1.44), "1.4 s"),
        (words.latency(None), "–"),
        (words.latency(float("nan")), "–"),
        (words.share(0.0021), "0.2 %"),
        (words.share(0.31), "31 %"),
        (words.share(float("inf")), "–"),
        (words.rate(12.44), "12.4/s"),
        (words.rate(0.0), "0.0/s"),
        (words.metric(0.913), ".913"),
        (words.metric(-0.25), "-.250"),
        (words.metric(1234567.0), "1.235e+06"),
        (words.age(59), "59s"),
        (words.age(252), "4m12"),
        (words.age(11100), "3h05"),
        (words.age(-5), "0s"),
        (words.rough_age(9.9), "now"),
        (words.rough_age(44), "40s"),
        (words.ago(3), "just now"),
        (words.ago(90), "1m ago"),
        (words.clock(0), "–"),
        (words.clock(1.0), "00:00:01Z"),
        (words.short_stamp(60, 3600), "00:01Z"),
        (words.short_stamp(60, 200_000), "01-01 00:01Z"),
        (words.difference(0.004), "+.004"),
        (words.difference(-0.25), "-.250"),
        (words.difference(10.123), "+10.12"),
        (words.difference(-20.5), "-20.5"),
    ],
)
def test_figures_in_words(found, wanted):
    assert found == wanted
    assert cell_len(found) <= 12


@given(st.lists(lines, max_size=5), st.integers(1, 40))
def test_what_flows_on_is_cut_nowhere_and_breaks_between_its_parts(parts, width):
    found = flowed(parts, width)
    assert "".join("".join(map(plain, found)).split()) == "".join("".join(map(plain, parts)).split())
    kept = [part for part in parts if part]
    assert all(width_of(row) <= max(width, 2 + max(map(width_of, kept))) for row in found)
    if kept and width_of(joined(kept)) <= width:
        assert len(found) == 1


@given(lines, st.integers(0, 40))
def test_the_parts_of_a_line_are_as_wide_as_the_line(content, at):
    first, rest = parted(content, at)
    assert width_of(first) == min(at, width_of(content))
    assert width_of(first) + width_of(rest) == width_of(content)


@given(st.lists(st.builds(Span, st.text("ab ", max_size=9), st.sampled_from(Slot)), max_size=5), st.integers(0, 40))
def test_the_parts_of_a_line_of_narrow_characters_are_the_line(content, at):
    first, rest = parted(tuple(content), at)
    cells = [(char, span.slot) for span in content for char in span.text]
    assert [(char, span.slot) for span in first + rest for char in span.text] == cells


def test_whole_parts_that_fit_and_a_sign_for_the_rest():
    parts = [line("y yes"), line("n no"), line(""), line("R again")]
    assert plain(fitted(parts, 30)) == "y yes  n no  R again"
    assert plain(fitted(parts, 19)) == "y yes  n no"
    assert plain(fitted(parts, 3)) == "y yes", "the first one at least; whoever shows it cuts it"
    assert plain(fitted(parts, 16, " · ", "…")) == "y yes · n no · …"
    assert plain(fitted(parts, 15, " · ", "…")) == "y yes · …"
    assert fitted([], 5) == ()


def test_a_word_for_several_lines_begins_beside_a_sign_and_breaks_between_its_parts():
    path = "template.metadata.annotations.kubectl.kubernetes.io/restartedAt"
    assert [plain(row) for row in wrapped(f"+ {path}", 60)] == [
        "+ template.metadata.annotations.kubectl.kubernetes.io/",
        "restartedAt",
    ]
    assert [plain(row) for row in wrapped("x" * 12, 5)] == ["xxxxx", "xxxxx", "xx"]
