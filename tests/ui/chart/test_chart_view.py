import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.ui.chart.view import DAY, FARTHEST, HOUR, LADDER, MINUTE, RANGES, TimeView

NOW = 1_764_000_000.0
LIVE = TimeView(HOUR)

steps = st.lists(
    st.one_of(
        st.tuples(st.just("scrolled"), st.floats(-50, 50)),
        st.tuples(st.just("moved"), st.floats(-1e9, 1e9)),
        st.tuples(st.just("zoomed"), st.booleans(), st.one_of(st.none(), st.floats(NOW - 1e6, NOW))),
        st.tuples(st.just("toggled")),
        st.tuples(st.just("next_range")),
    ),
    max_size=30,
)


def done(view, step, now):
    name, *arguments = step
    if name == "zoomed":
        return view.zoomed(arguments[0], now, arguments[1])
    return getattr(view, name)(*arguments, *(() if name == "next_range" else (now,)))


@given(steps)
def test_whatever_is_pressed_the_time_is_one_that_can_be_shown(pressed):
    view, now = LIVE, NOW
    for step in pressed:
        now += 1.0
        view = done(view, step, now)
        assert view.seconds in LADDER or view.seconds in RANGES
        assert view.live or NOW - FARTHEST <= view.end <= now
        assert not (view.live and view.paused)
        assert bool(view.words(now)) is not view.live


@given(st.sampled_from(LADDER), st.floats(0, 1), st.booleans())
def test_what_is_under_the_pointer_stays_under_it(seconds, share, longer):
    view = TimeView(seconds, NOW - 60 * DAY)
    about = view.end - share * seconds
    zoomed = view.zoomed(longer, NOW, about)
    assert (zoomed.end - about) / zoomed.seconds == pytest.approx(share, abs=1e-3)


def test_back_and_forward_again_is_live():
    back = LIVE.scrolled(-1, NOW)
    assert (back.end, back.seconds) == (NOW - HOUR / 4, HOUR)
    assert back.scrolled(1, NOW).live
    assert LIVE.scrolled(1, NOW).live


def test_a_pause_holds_and_lets_go():
    held = LIVE.toggled(NOW)
    assert (held.end, held.paused) == (NOW, True)
    assert held.words(NOW + 100) == "PAUSED at 16:00:00Z"
    assert held.toggled(NOW + 100) == LIVE
    assert not held.scrolled(-1, NOW + 100).paused


@pytest.mark.parametrize(
    ("back", "words"),
    [
        (1200.0, "BACK 20 min, to 15:40:00Z"),
        (2 * HOUR, "BACK 2 h, to 14:00:00Z"),
        (2.5 * HOUR, "BACK 2.5 h, to 13:30:00Z"),
        (3 * DAY, "BACK 3 d, to 21 Nov 16:00Z"),
    ],
)
def test_how_far_back_it_is_has_words(back, words):
    assert LIVE.moved(-back, NOW).words(NOW) == words


def test_ranges_go_round_and_the_ladder_ends():
    view = TimeView(RANGES[-1])
    assert view.next_range().seconds == RANGES[0]
    assert TimeView(895.0).next_range().seconds == HOUR
    assert TimeView(LADDER[0]).zoomed(False, NOW).seconds == MINUTE
    assert TimeView(LADDER[-1]).zoomed(True, NOW).seconds == LADDER[-1]
    assert LIVE.zoomed(True, NOW).live
