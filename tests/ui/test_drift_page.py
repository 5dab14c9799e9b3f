"""The page of one feature, and what the pane's columns say."""

import pytest

from mlconsole.domain.drift import (
    Against,
    Basis,
    DriftTable,
    DriftVerdict,
    FeatureDrift,
    Kind,
    Method,
    Picture,
    Trend,
    key_of,
)
from mlconsole.domain.telemetry import Glance
from mlconsole.ui.ascii import to_ascii
from mlconsole.ui.render import drift
from mlconsole.ui.spans import plain, width_of

NOW = 1_790_000_000.0
ROW = FeatureDrift(
    feature="amount", color="green", method=Method.BINS, n_reference=1500, n_current=12_345, ks=0.21, ks_upper=0.3,
    q_value=1e-9, psi=0.31, effect=0.21, mde=0.05, verdict=DriftVerdict.DRIFTED,
)  # fmt: skip
KEY = key_of(ROW)
PICTURE = Picture((0.5, 0.3, 0.2), (0.2, 0.3, 0.5), (1.0, 2.5))
TABLE = DriftTable(
    "ml/fraud", NOW, (ROW,), reference="training shares", references={"green": Against(Basis.COLOR, "blue, live")},
    pictures={KEY: PICTURE}, trends={KEY: Trend(NOW - 240, NOW - 900, (0.0, None, 0.1, 0.21))},
    verdict=DriftVerdict.DRIFTED,
)  # fmt: skip
GLANCES = tuple(Glance(name, rate, 0.0, 0.1, 0.2, 0.3, 900, NOW) for name, rate in (("green", 9.0), ("blue", 1.0)))


@pytest.mark.parametrize("width", [24, 68, 126])
def test_the_page_names_what_the_verdict_rests_on_and_fits(width):
    lines = drift.details(TABLE, KEY, GLANCES, "green", NOW, width)
    assert all(width_of(line) <= width for line in lines)
    found = " ".join(" ".join(map(plain, lines)).split())
    for words in ("▲ drifted", "90% of", "blue, live", "4m ago", "0.210", "12,345", "1,500", "PSI", "mde"):
        assert words in found
    assert "or longer" not in found


def test_the_two_distributions_read_in_ascii_and_without_colours():
    lines = [to_ascii(plain(line)) for line in drift.drawn(PICTURE, 60)]
    assert "# both" in lines[0]
    below, middle, above = (line.rsplit("%  ", 1)[1] for line in lines[1:])
    assert set(below) == {"#", "-"}
    assert set(middle) == {"#"}
    assert set(above) == {"#", "+"}
    assert len(below) == len(above) > len(middle)
    assert "50.0%  20.0%" in lines[1]


def test_a_verdict_as_old_as_the_watch_may_be_older():
    table = DriftTable("ml/fraud", NOW, (ROW,), trends={KEY: Trend(NOW - 900, NOW - 900, (0.2,))})
    found = " ".join(" ".join(map(plain, drift.details(table, KEY, (), "blue", NOW, 100))).split())
    assert "or longer" in found
    assert "green, not live, – of the traffic" in found
    assert "nothing to draw" in found


def test_the_pane_says_since_when_the_trend_and_the_share_of_traffic():
    cells = [plain(cell) for cell in drift.rows(TABLE, "green", GLANCES, NOW)[0].cells]
    assert cells[5:9] == ["▲ drifted", "▁ ▃▆", "4m", "90%"]
    assert drift.headline(TABLE, "green", 100) == "▲ drifted · against blue, live"
    assert drift.headline(TABLE, "green", 40) == "▲ drifted"
    assert drift.sparkline(()) == ""


def test_the_prediction_is_no_feature_of_the_same_name():
    feature = FeatureDrift(feature="prediction", color="green")
    assert key_of(feature) != key_of(FeatureDrift(feature="prediction", color="green", kind=Kind.PREDICTION))
