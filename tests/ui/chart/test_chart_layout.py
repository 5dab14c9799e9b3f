import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from mlconsole.domain.telemetry import Mark, Series
from mlconsole.ui.chart.layout import Content, compose
from mlconsole.ui.chart.legend import latest, legend
from mlconsole.ui.chart.marks import mark_row
from mlconsole.ui.chart.rows import DRAWN, FILLER, TYPED, row
from mlconsole.ui.chart.styled import SLOTS, Styled, slot_index, style_series

END = 1_764_000_000.0
HOUR = 3600.0
TIMES = tuple(END - HOUR + 15 * index for index in range(241))


def series(color, stat, base):
    return Series(color, stat, TIMES, tuple(base * (1 + 0.3 * math.sin(index / 9)) for index in range(len(TIMES))))


def both_colors():
    bases = {"p50": 0.05, "p95": 0.2, "p99": 0.35}
    return [series(color, stat, base) for color in ("green", "blue") for stat, base in bases.items()]


def latency(**changes):
    marks = (Mark(END - 1800, "switch", "switch to green v13"),)
    fields = {"series": tuple(style_series(both_colors(), "green")), "marks": marks, "unit": "s"}
    return Content(**(fields | {"start": END - HOUR, "end": END} | changes))


def texts(content, width, height, **options):
    return [line.text for line in compose(content, width, height, **options)]


def test_idle_lines_are_drawn_before_live_ones_and_the_leading_one_last():
    order = [(one.series.color, one.series.stat, one.dotted, one.slot) for one in style_series(both_colors(), "green")]
    assert order[2] == ("blue", "p95", True, "blue")
    assert order[5] == ("green", "p95", False, "green")
    assert all(slot.endswith("-dim") == (stat != "p95") for _, stat, _, slot in order)


@pytest.mark.parametrize(("live", "slots"), [("a", ["idle", "live"]), ("", ["live", "live"])])
def test_colours_with_other_names_look_live_or_idle(live, slots):
    styled = style_series([series("b", "rate", 1), series("a", "rate", 2)], live)
    assert [one.slot for one in styled] == slots


def test_an_unknown_slot_is_drawn_all_the_same():
    assert SLOTS[slot_index("chart--blue-dim")] == "blue-dim"
    assert SLOTS[slot_index("mauve")] == "live"


def test_everything_is_there_where_there_is_room():
    shown = texts(latency(), 120, 30)
    assert "⇄ switch to green v13" in shown[0]
    assert shown[-2].startswith("● green p50 ")
    assert shown[-1].startswith("○ blue p50 65 ms (min 35 ms, max 65 ms)  p95 ")
    assert shown[-3].lstrip().startswith("UTC")
    assert "15:30" in shown[-3]
    assert any(line.startswith("400 ms┤") for line in shown)
    assert {tag for line in shown for tag in ("●p50", "●p95", "●p99") if line.rstrip().endswith(tag)} == {
        "●p50",
        "●p95",
        "●p99",
    }


def test_lines_of_one_statistic_are_tagged_with_their_colour():
    styled = style_series([series("blue", "rate", 1), series("green", "rate", 40)], "green")
    shown = texts(latency(series=tuple(styled), unit="1/s"), 80, 20)
    assert any(line.rstrip().endswith("●green") for line in shown)
    assert any(line.rstrip().endswith("○blue") for line in shown)


@pytest.mark.parametrize(
    ("width", "height", "legend_shown", "clock", "figures"),
    [
        (120, 30, True, True, True),
        (60, 10, True, True, True),
        (40, 7, False, True, True),
        (30, 4, False, False, True),
        (10, 3, False, False, False),
    ],
)
def test_what_goes_first_when_room_gets_scarce(width, height, legend_shown, clock, figures):
    shown = "\n".join(texts(latency(), width, height))
    assert ("green p" in shown) == legend_shown
    assert ("15:30" in shown) == clock
    assert ("0 ms" in shown) == figures
    assert any(0x2800 < ord(char) <= 0x28FF for char in shown)


def test_ascii_has_nothing_else():
    odd = latency(marks=(Mark(END - 900, "rollback", "zurück → 日本"),), problem="")
    for width, height in ((120, 30), (80, 12), (30, 5), (10, 3)):
        assert all(line.isascii() and line.isprintable() for line in texts(odd, width, height, glyphs="ascii"))
    assert any("*" in line for line in texts(odd, 80, 12, glyphs="ascii"))
    assert all(line.isascii() for line in texts(Content(problem="née…"), 40, 5, glyphs="ascii"))


def test_live_and_idle_differ_without_colour():
    def plotted(live):
        styled = style_series([series("green", "p95", 0.2)], live)
        return texts(latency(series=tuple(styled), marks=()), 60, 14)[:10]

    dots = {
        live: sum((ord(c) - 0x2800).bit_count() for c in "".join(plotted(live)) if c > "\u2800")
        for live in ("green", "blue")
    }
    assert dots["blue"] < dots["green"] * 0.8


@pytest.mark.parametrize("problem", ["prometheus does not answer", ""])
def test_no_data_says_why_in_the_middle(problem):
    shown = texts(Content(start=0, end=1, problem=problem), 60, 9)
    assert shown[4].strip() == (f"no data: {problem}" if problem else "no data")
    left = len(shown[4]) - len(shown[4].lstrip())
    assert abs(left - (60 - left - len(shown[4].strip()))) <= 1
    assert not "".join(shown[:4] + shown[5:]).strip()


def test_a_long_problem_is_cut():
    assert texts(Content(problem="x" * 100), 12, 1) == ["no data: xx…"]


def test_all_nan_is_no_data():
    nothing = Styled(Series("green", "p95", TIMES, (math.nan,) * len(TIMES)), "green")
    assert "no data" in "".join(texts(latency(series=(nothing,)), 40, 8))


def test_values_are_shown_beside_a_problem():
    shown = texts(latency(problem="stale for 3 min"), 80, 16)
    assert shown[0].strip() == "stale for 3 min"
    assert any("⣀" <= char <= "⣿" for line in shown for char in line)


def test_nothing_moves_until_a_column_has_passed():
    pictures = []
    for second in range(0, 40, 2):
        pictures.append(texts(latency(start=END + second - HOUR, end=END + second), 107, 20))
    changes = sum(a != b for a, b in pairwise(pictures))
    assert 1 <= changes <= 2


def test_the_legend_forgets_a_series_that_ended():
    ended = Series("blue", "p95", TIMES, (*([0.2] * 231), *([math.nan] * 10)))
    late = Series("blue", "p95", TIMES, (*([0.2] * 239), math.nan, math.nan))
    assert math.isnan(latest(ended, END))
    assert latest(late, END) == 0.2
    assert math.isnan(latest(series("green", "p95", 0.2), END + 600))
    assert math.isnan(latest(Series("green", "p95", (), ()), END))


def test_a_narrow_legend_keeps_the_leading_series():
    styled = style_series(both_colors(), "green")
    (line,) = legend(styled, "s", END, 48, 1, DRAWN)
    assert "p95" in line.text
    assert "p50" not in line.text
    assert len(legend(styled, "s", END, 60, 2, DRAWN)) == 2
    cut = legend(styled, "s", END, 14, 1, TYPED)
    assert cut[0].text.endswith("~")
    assert len(cut[0].text) <= 14


def test_words_of_a_mark_stand_where_they_fit():
    first, second = Mark(1, "switch", "to green"), Mark(2, "rollback", "to blue")
    assert mark_row([(first, 2), (second, 20)], 40, DRAWN).text.rstrip() == "  ⇄ to green        ↶ to blue"
    assert mark_row([(first, 2), (second, 5)], 40, DRAWN).text.rstrip() == "  ⇄  ↶ to blue"
    assert mark_row([(first, 35)], 40, DRAWN).text.rstrip() == " " * 26 + "to green ⇄"
    assert mark_row([(first, 3)], 6, TYPED).text == "   >  "


def test_wide_and_odd_text_keeps_to_its_cells():
    wide = row("日本\x1b[31mé\u200b")
    assert len(wide.text) == len(wide.slots)
    assert cell_len(wide.text.replace(FILLER, "")) == len(wide.text)
    assert "\x1b" not in wide.text
    assert row("日本").fit(3).text == "日" + FILLER + " "


words = st.text(max_size=30)
numbers = st.floats()
some_series = st.builds(
    Series,
    color=words,
    stat=st.one_of(words, st.sampled_from(["p95", "0.1", "0.5", "+Inf", "-Inf", "nan"])),
    label=st.one_of(st.just(""), words),
    ghost=st.sampled_from(["", "", "yesterday"]),
    times=st.lists(st.one_of(numbers, st.floats(END - HOUR, END)), max_size=8).map(tuple),
    values=st.lists(numbers, max_size=8).map(tuple),
)
contents = st.builds(
    Content,
    series=st.lists(
        st.builds(Styled, some_series, st.sampled_from([*SLOTS, "?"]), st.booleans(), st.just(""), st.integers(-1, 9)),
        max_size=4,
    ).map(tuple),
    marks=st.lists(
        st.builds(
            Mark,
            st.one_of(numbers, st.floats(END - HOUR, END)),
            st.sampled_from(["switch", "rollback", "alert", "?"]),
            words,
        ),
        max_size=4,
    ).map(tuple),
    start=st.one_of(st.just(END - HOUR), numbers),
    end=st.one_of(st.just(END), numbers),
    unit=st.sampled_from(["s", "ratio", "1/s", "", "B", "cores", "requests of a long name"]),
    problem=words,
    form=st.sampled_from(["lines", "stacked", "heat", "?"]),
    scale=st.sampled_from(["linear", "log"]),
    thresholds=st.lists(st.tuples(numbers, words), max_size=2).map(tuple),
    cursor=st.one_of(st.none(), numbers, st.floats(END - HOUR, END)),
)


@settings(max_examples=600, deadline=None)
@given(contents, st.integers(0, 210), st.integers(0, 64), st.sampled_from(["braille", "block", "ascii"]))
def test_whatever_it_is_given_it_fills_its_size(content, width, height, glyphs):
    lines = compose(content, width, height, glyphs=glyphs)
    assert len(lines) == (height if width else 0)
    for line in lines:
        assert len(line.text) == len(line.slots) == width
        assert glyphs != "ascii" or line.text.isascii()
        assert max(line.slots) < len(SLOTS)


@pytest.mark.parametrize(
    "found",
    [(), (0.2,), (0.2,) * 50, (0.0,) * 50, (1e12, 2e12, -1e12), (math.inf, 0.1, -math.inf), (1e308, -1e308)],
)
def test_every_size_takes_odd_values(found):
    odd = Styled(Series("green", "p95", TIMES[-len(found) :] if found else (), found), "green")
    for width in (1, 5, 10, 23, 24, 60, 200):
        for height in (1, 3, 5, 8, 14, 60):
            for ascii_only in (False, True):
                lines = texts(latency(series=(odd,)), width, height, glyphs="ascii" if ascii_only else "braille")
                assert [len(line) for line in lines] == [width] * height
