"""What a service's panels are, by the metrics that there are and by what the settings say."""

from mlconsole.config import ServiceSettings, Thresholds
from mlconsole.configpanels import PanelSettings
from mlconsole.metrics import queries
from mlconsole.metrics.plans import existing, plans
from mlconsole.metrics.prometheus import Row

from .conftest import service

SERVICE = service({"blue": ["churn-blue-6b7-aaaaa"], "green": ["churn-green-6b8-bbbbb"]})
OURS = frozenset({"ml_predictions_total", "ml_prediction_duration_seconds_bucket", "ml_predictions_in_flight"})
TRITON = frozenset({"nv_inference_request_success", "nv_inference_request_failure", "nv_inference_request_duration_us"})


def found(known, **settings):
    return {plan.id: plan for plan in plans(ServiceSettings(**settings), known)}


def test_a_panel_without_its_metrics_is_left_out_but_the_first_three_say_what_they_would_read():
    made = found({})
    assert list(made) == ["latency", "errors", "rate"]
    assert "ml_prediction_duration_seconds_bucket" in made["latency"].reads
    assert "docs/metrics.md" in made["rate"].reads
    assert list(found({"blue": OURS})) == ["latency", "errors", "rate", "heat", "in_flight"]
    assert found({"blue": OURS})["latency"].reads == ""


def test_a_server_that_exports_sums_has_a_mean_and_no_percentile():
    made = found({"blue": TRITON})
    assert list(made["latency"].queries) == ["mean"]
    assert "nv_inference_request_failure" in made["errors"].queries["errors"]
    assert "heat" not in made


def test_colours_that_speak_different_dialects_are_on_one_chart():
    made = found({"blue": TRITON, "green": OURS})
    assert list(made["latency"].queries) == ["p50", "p95", "p99", "mean"]
    ours, others = made["rate"].queries["rate"].split(") or (", 1)
    assert ours.startswith("($sum(rate(ml_predictions_total")
    assert "nv_inference_request_success" in others


def test_classes_are_stacked_and_values_are_a_heat_map():
    assert found({"": frozenset({"ml_prediction_class_total"})})["predictions"].form == "stacked"
    values = found({"": frozenset({"ml_prediction_value_bucket"})})["predictions"]
    assert (values.form, values.label, list(values.queries)) == ("heat", "le", ["le"])
    # Lines by class and lines by bucket cannot be on one chart.
    both = found({"a": frozenset({"ml_prediction_class_total"}), "b": frozenset({"ml_prediction_value_bucket"})})
    assert both["predictions"].label == "class"
    assert "ml_prediction_value_bucket" not in both["predictions"].queries["class"]


def test_a_query_of_the_settings_takes_the_place_of_the_panels():
    own = PanelSettings(query="my", title="mine", unit="", thresholds={"SLO": 0.3}, scale="log")
    made = found({"blue": OURS}, panels={"latency": own})["latency"]
    assert (made.queries, made.title, made.unit, made.scale) == ({"p50": "my"}, "mine", "", "log")
    assert made.thresholds == ((0.3, "SLO"),)


def test_a_statistic_of_the_settings_takes_the_place_of_that_one_alone():
    made = found({"blue": OURS}, panels={"latency": PanelSettings(queries={"p95": "my", "p999": "more"})})["latency"]
    assert list(made.queries) == ["p50", "p95", "p99", "p999"]
    assert (made.queries["p95"], "ml_prediction_duration" in made.queries["p50"]) == ("my", True)


def test_the_older_form_still_holds():
    made = found({}, queries={"latency.p95": "a", "rate": "b", "cpu.used": "c"})
    assert made["latency"].queries["p95"] == "a"
    assert made["rate"].queries == {"rate": "b"}
    assert made["rate"].reads == ""
    assert made["cpu"].queries == {"used": "c"}


def test_a_new_panel_comes_last_and_one_may_be_hidden():
    own = {"tokens": PanelSettings(query="t", label="direction", form="stacked"), "heat": PanelSettings(hidden=True)}
    made = found({"blue": OURS}, panels=own)
    assert list(made) == ["latency", "errors", "rate", "in_flight", "tokens"]
    tokens = made["tokens"]
    assert (tokens.title, tokens.queries, tokens.label, tokens.form) == (
        "tokens",
        {"direction": "t"},
        "direction",
        "stacked",
    )


def test_the_limits_of_a_service_are_lines_on_its_charts():
    made = found({"blue": OURS}, thresholds=Thresholds(p95_seconds=0.2, error_share=None))
    assert made["latency"].thresholds == ((0.2, "sick"),)
    assert made["errors"].thresholds == ()


def test_what_exists_is_told_by_colour():
    rows = [
        Row({"__name__": "a", "deployment": "churn-blue"}, [1.0], [3.0]),
        Row({"__name__": "b", "deployment": "churn-blue"}, [1.0], [3.0]),
        Row({"__name__": "b", "deployment": "ranker"}, [1.0], [3.0]),
        Row({"__name__": "b"}, [1.0], [3.0]),
        Row({"deployment": "churn-green"}, [1.0], [3.0]),
    ]
    assert existing(SERVICE, rows, "exported:") == {"blue": frozenset({"exported:a", "exported:b"})}


def test_the_figures_of_rows_are_those_of_the_panels():
    own = {
        "latency": PanelSettings(queries={"p95": "a", "p50": "b"}),
        "rate": PanelSettings(query="c"),
        "errors": PanelSettings(query="d", label="code"),
    }
    assert queries.of_panels(own) == {"latency.p95": "a", "latency.p50": "b", "rate": "c"}
