"""The chart as files: everything on the screen is in them, and what comes from outside is only text."""

import csv
import io
import math
from xml.dom import minidom

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_chart_layout import END, HOUR, contents, latency, series

from mlconsole.domain.telemetry import Mark, Series
from mlconsole.ui.chart.export import svg, table, write
from mlconsole.ui.chart.layout import Content
from mlconsole.ui.chart.styled import Styled, style_series

COLORS = {"background": "#000000", "green": "#6cc08b", "live": "#ffffff"}


def parsed(content, title="latency"):
    return minidom.parseString(svg(content, title, COLORS).encode())


def rows(content):
    return list(csv.reader(io.StringIO(table(content))))


def test_a_row_an_instant_and_a_column_a_series():
    head, *body = rows(latency())
    assert head[0] == "time"
    assert set(head[1:]) == {f"{color} {stat} (s)" for color in ("green", "blue") for stat in ("p50", "p95", "p99")}
    assert len(body) == 241
    assert body[-1][0] == "2025-11-24T16:00:00Z"
    shown = {one.series.stat: one.series.values[-1] for one in latency().series if one.series.color == "green"}
    assert float(body[-1][head.index("green p95 (s)")]) == shown["p95"]


def test_what_is_not_on_the_screen_is_not_in_the_file():
    assert len(rows(latency(start=END - HOUR / 4))) == 1 + 61


def test_a_gap_is_an_empty_cell():
    line = Series("green", "rate", (END - 30, END - 15, END), (1.0, math.nan, 3.0))
    body = rows(latency(series=tuple(style_series([line], "green")), unit="1/s"))[1:]
    assert [row[1] for row in body] == ["1.0", "", "3.0"]


@pytest.mark.parametrize("name", ["=cmd()", "+1", "-1", "@x"])
def test_a_name_is_never_a_formula(name):
    line = Styled(Series("", "x", (END,), (1.0,), label=name), "live")
    assert rows(latency(series=(line,)))[0][1] == f"'{name} (s)"


def test_words_from_outside_are_escaped_and_secrets_are_not_written():
    evil = '</title><script>alert("x")</script>\x1b[31m'
    token = "Authorization: Bearer abcdefghijklmnopqrstuvwxyz0123456789"
    line = Series("green", "p95", (END - 15, END), (1.0, 2.0), label=evil)
    marks = (Mark(END - 60, "switch", evil), Mark(END - 30, "alert", token))
    content = latency(series=tuple(style_series([line], "green")), marks=marks, thresholds=((1.5, evil),))
    page = parsed(content, evil)
    assert not page.getElementsByTagName("script")
    text = svg(content, evil, COLORS)
    assert "\x1b" not in text
    assert "abcdefghijklmnop" not in text
    assert "abcdefghijklmnop" not in table(content)


def test_marks_limits_and_names_are_in_the_picture():
    page = parsed(latency(thresholds=((0.3, "limit 300 ms"),)))
    words = {node.firstChild.data for node in page.getElementsByTagName("text") if node.firstChild}
    assert {"latency", "switch to green v13", "limit 300 ms", "15:30", "UTC"} <= words
    assert any(one.startswith("green p95 ") for one in words)


def test_a_line_is_broken_where_samples_are_missing():
    times = tuple(END - 60 * index for index in range(20, -1, -1))
    values = tuple(math.nan if 5 <= index < 10 else 1.0 for index in range(21))
    page = parsed(latency(series=tuple(style_series([Series("green", "p95", times, values)], "green"))))
    [path] = page.getElementsByTagName("path")
    assert path.getAttribute("d").count("M") == 2


def test_it_is_small():
    assert len(svg(latency(), "latency", COLORS)) < 40_000
    stacked = style_series([series("", name, 10) for name in "abcd"], "", "stacked")
    assert len(svg(latency(series=tuple(stacked), form="stacked"), "x", COLORS)) < 40_000


def test_one_ending_is_that_file_alone_and_none_is_written_over(tmp_path):
    assert write(latency(), "x", COLORS, tmp_path / "a.b") == [tmp_path / "a.b.svg", tmp_path / "a.b.csv"]
    assert write(latency(), "x", COLORS, tmp_path / "new" / "one.csv") == [tmp_path / "new" / "one.csv"]
    with pytest.raises(FileExistsError):
        write(latency(), "x", COLORS, tmp_path / "a.b.svg")


def test_nothing_is_written_of_nothing():
    assert "no data" in svg(Content(problem="prometheus is away"), "x", COLORS)
    assert rows(Content()) == [["time"]]


@settings(max_examples=150, deadline=None)
@given(contents, st.text(max_size=20))
def test_whatever_is_shown_can_be_written(content, title):
    parsed(content, title)
    head, *body = rows(content)
    assert all(len(row) == len(head) for row in body)
