"""The page of one feature, and what the pane's columns say."""

import pytest
from msgspec.structs import replace

from mlconsole.domain.drift import (
    Accuracy,
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
    longer = replace(TABLE, trends={KEY: Trend(NOW - 240, NOW - 240, (0.2,))})
    assert plain(drift.rows(longer, "green", GLANCES, NOW)[0].cells[7]) == "4m+"
    assert drift.headline(TABLE, "green", 100) == "▲ drifted · against blue, live"
    assert drift.headline(TABLE, "green", 30) == "▲ drifted"
    training = replace(TABLE, references={"green": Against(Basis.REGISTRY, "training of v13, by the registry")})
    assert drift.headline(training, "green", 48) == "▲ drifted · against its training"
    assert drift.headline(training, "green", 5) == ""
    assert drift.sparkline(()) == ""


def test_the_windows_before_stand_on_the_page_and_in_the_pane():
    trend = Trend(NOW - 4200, NOW - 10_200, (0.2, 0.3), (None, 0.0, 0.3), 600.0)
    table = replace(TABLE, trends={KEY: trend})
    assert plain(drift.rows(table, "green", GLANCES, NOW)[0].cells[6]) == " ▁██"
    found = [plain(line) for line in drift.details(table, KEY, GLANCES, "green", NOW, 80)]
    assert "30 min before ▁█" in " ".join(" ".join(found).split())


def test_a_makeshift_reference_is_said_on_the_pane_and_why_on_the_page():
    held = Against(
        Basis.PAST, "green v12 24 h earlier", "an hour", "no registry is configured; the servers export none"
    )
    table = replace(TABLE, references={"green": held})
    assert drift.notice(table, "green").startswith("held against green v12 24 h earlier: no registry")
    assert drift.notice(replace(TABLE, references={"green": replace(held, basis=Basis.SERVERS)}), "green") == ""
    assert drift.notice(replace(table, problem="blue runs v12"), "green") == "blue runs v12"
    found = " ".join(" ".join(map(plain, drift.details(table, KEY, (), "green", NOW, 90))).split())
    assert "reference green v12 24 h earlier an hour no better: no registry is configured" in found


def test_a_colour_without_traffic_is_one_row():
    idle = [FeatureDrift(feature=name, color="blue", kind=kind) for name, kind in IDLE]
    found = drift.rows(replace(TABLE, features=(ROW, *idle)), "green")
    assert [plain(row.cells[0]) for row in found] == ["amount", "2 features"]
    assert plain(found[1].cells[5]) == "◌ no traffic"
    # One that comes without a value is traffic.
    missing = replace(idle[0], missing_current=1.0)
    assert len(drift.rows(replace(TABLE, features=(ROW, missing, *idle[1:])), "green")) == 4


IDLE = (("a", Kind.NUMERIC), ("b", Kind.CATEGORICAL), ("prediction", Kind.PREDICTION))
RIGHT = Accuracy(
    "green", 870.0, 130.0, 0.848, 0.889, (None, 0.9, 0.84), 1800.0, 0.91, DriftVerdict.LOOK, "4.0% below what it was"
)


def test_accuracy_stands_first_and_its_page_has_the_interval_and_the_steps():
    table = replace(TABLE, accuracy=(RIGHT,))
    cells = [plain(cell) for cell in drift.rows(table, "green", GLANCES, NOW)[0].cells]
    assert cells[:1] + cells[3:7] == ["accuracy", "0.04", "1.0k", "◆ 87.0%", " ▃▅"]
    lines = [plain(line) for line in drift.accuracy_details(RIGHT, GLANCES, "green", 80)]
    assert all(width_of(line) <= 80 for line in drift.accuracy_details(RIGHT, GLANCES, "green", 80))
    text = "\n".join(lines)
    for words in (
        "◆ look",
        "87.0% of 1,000 labels, 84.8% to 88.9%",
        "91.0%, by the version's run",
        "870 right, 130 wrong",
    ):
        assert words in text
    assert lines[-3].split() == ["now", "16.0%", "█" * len(lines[-3].split()[2])]
    assert lines[-1].split() == ["-1", "h", "–"]


def test_too_few_labels_are_counted_and_not_judged():
    few = Accuracy("green", 10.0, 2.0)
    assert plain(drift.rows(replace(TABLE, accuracy=(few,)), "green")[0].cells[5]) == "◌ 12 of 200"


def test_the_prediction_is_no_feature_of_the_same_name():
    feature = FeatureDrift(feature="prediction", color="green")
    assert key_of(feature) != key_of(FeatureDrift(feature="prediction", color="green", kind=Kind.PREDICTION))
