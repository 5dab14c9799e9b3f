"""The configuration: what is taken from where, and what each mistake is told as."""

from pathlib import Path

import pytest

from mlconsole.config import ConfigError, Settings, load, seconds


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Write ./mlconsole.toml and load it: `file(text, options..., NAME=value)`."""
    monkeypatch.chdir(tmp_path)

    def written(text, options=None, **environ):
        Path("mlconsole.toml").write_text(text)
        return load(options or {}, {"HOME": str(tmp_path), **environ})

    return written


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a = ", "mlconsole.toml", "not TOML"),
        ("foo = 1", ":1", "unknown key `foo`; known here: cluster"),
        ("registry = 3", ":1", "`registry`: expected a table, got a number"),
        ("services = [1]", ":1", "`services`: expected a table, got a list"),
        ("[services]\nfraud = 3", ":2", "`services.fraud`: expected a table"),
        ('read_only = "yes"', ":1", "`read_only`: expected true or false, got text"),
        ("[registry]\nrefresh = -1", ":2", "`registry.refresh`: expected a number >= 0.5"),
        ('[registry]\nrefresh = "5x"', ":2", "registry.refresh: '5x' is no duration: write 90s"),
        ("[registry]\nrefresh = nan", ":2", "registry.refresh: nan is no duration"),
        ("[registry]\nrefresh = inf", ":2", "registry.refresh: inf is no duration"),
        ("[defaults]\nwatch_window = true", ":2", "`defaults.watch_window`: expected a number, got true or false"),
        ('[defaults]\nwatch_window = "-5m"', ":2", "is no duration"),
        ("[defaults.thresholds]\nerror_share = 2", ":2", "expected a number <= 1.0"),
        ("[defaults.thresholds]\nerror_share = nan", ":2", "expected a number >= 0.0"),
        ('[defaults]\ncolors = ["a", 3]', ":2", "`defaults.colors`: expected text, got a number"),
        ('[metrics.auth]\npassword = "x"', ":2", "unknown key `metrics.auth.password`; did you mean `password_env`?"),
        ("[services.x.gate]\na = 1", ":2", "unknown key `services.x.gate`; did you mean `gates`?"),
        ("[services.x.gates]\nmax_eror_share = 1", ":2", "did you mean `max_error_share`?"),
        ("[services.verify]\nmodl = 1", ":2", "`services.verify.modl`; did you mean `model`?"),
        ('[services."ml/a.b"]\nmodl = 1', ":2", "unknown key `services.ml/a.b.modl`; did you mean `model`?"),
        ('[services.x]\nverify = { path = "health" }', ":2", "`services.x.verify.path`: expected a path that begins"),
        (
            '[environments.a]\nproduction = true\n[environments.b]\nproduction = "x"',
            ":4",
            "`environments.b.production`",
        ),
        ('[environments.a]\nname = "x"', ":2", "unknown key `environments.a.name`; known here: contexts"),
        (
            '[environments.p.freeze.x]\nend = "6pm"',
            ":2",
            "`environments.p.freeze.x.end`: '6pm' is neither a time of day",
        ),
        ('[environments.p.freeze.x]\ntimezone = "Berlin"', ":2", "'Berlin' is no time zone that this machine knows"),
        ('[environments.p.freeze.x]\nstart = "2026-12-24T18:00"', ":2", "write two times of day, or two dates"),
        ('[environments.p]\nrequired_gates = ["smokes"]', ":2", "is called 'smokes'; did you mean 'smoke'?"),
        ('[environments.p]\nrequired_gates = ["xyz"]', ":2", "is called 'xyz'; known: smoke, parity, capacity"),
        ("[services.x.analysis.y]\ncount = 1", ":2", "`services.x.analysis.y`: it measures nothing: give it a"),
        ('[services.x.analysis.y]\ncondition = "p95 <"', ":2", "`services.x.analysis.y.condition`: "),
        ('[defaults.analysis.y]\ncondition = "p95 <"', ":2", "a value is missing at its end"),
        ('[defaults.analysis.y]\ncondition = "result < 1"', ":2", "`result` is that of a query, and there is none"),
        ('[defaults.analysis.y]\nquery = "up"', ":2", "it has a query and no `condition`"),
        ('[environments.p]\ncontexts = "prod"', ":2", "`environments.p.contexts`: expected a list, got text"),
    ],
)
def test_each_mistake_names_file_key_what_is_wrong_and_what_is_right(file, text, place, words):
    with pytest.raises(ConfigError) as told:
        file(text, MLFLOW_TRACKING_URI="http://here")
    assert f"mlconsole.toml{place}" in str(told.value) or place == "mlconsole.toml"
    assert words in str(told.value)


def test_later_wins_and_each_value_says_where_it_is_from(file):
    text = '[metrics]\nprometheus_url = "http://file"\nrefresh = "2s"\n[cluster]\nnamespace = "file"\n'
    loaded = file(text, {"namespace": "option"}, PROMETHEUS_URL="http://environment")
    assert loaded.settings.metrics.prometheus_url == "http://environment"
    assert loaded.settings.cluster.namespace == "option"
    assert loaded.origins == {
        "metrics.prometheus_url": "environment PROMETHEUS_URL",
        "metrics.refresh": "mlconsole.toml:3",
        "cluster.namespace": "--namespace",
    }


def test_a_namespace_on_the_command_line_ends_all_namespaces_of_the_file(file):
    text = "[cluster]\nall_namespaces = true\n"
    assert file(text).settings.cluster.all_namespaces
    assert not file(text, {"namespace": "ml"}).settings.cluster.all_namespaces
    assert file(text, {"namespace": "ml", "all_namespaces": True}).settings.cluster.all_namespaces


def test_durations_are_read_by_key_not_by_name(file):
    loaded = file('[services.x.panels.refresh]\nquery = "up"\n[services.x.gates]\nmax_p95_seconds = "250ms"\n')
    assert loaded.settings.services["x"].panels["refresh"].query == "up"
    assert loaded.settings.services["x"].gates.max_p95_seconds == 0.25


def test_a_service_has_the_defaults_where_it_says_nothing(file):
    text = '[defaults]\nwatch_window = "1m"\n[defaults.verify]\npath = "/a"\n[services.x.verify]\ndeadline = "5s"\n'
    settings = file(text).settings
    assert (settings.service("ml", "x").watch_window, settings.service("ml", "x").verify.path) == (60.0, "/a")
    assert settings.service("ml", "x").verify.deadline == 5.0
    assert settings.service("ml", "other") == settings.defaults


def test_the_most_exact_name_of_a_service_counts(file):
    settings = file('[services.x]\nmodel = "a"\n[services."ml/x"]\nmodel = "b"\n').settings
    assert (settings.service("ml", "x").model, settings.service("qa", "x").model) == ("b", "a")


def test_the_first_environment_that_fits(file):
    text = (
        '[environments.sandbox]\nnamespaces = ["*-sandbox"]\n'
        '[environments.prod]\ncontexts = ["prod-*"]\nproduction = true\n'
    )
    settings = file(text).settings
    assert settings.environment("prod-eu", "ml").name == "prod"
    assert settings.environment("prod-eu", "ml-sandbox").name == "sandbox"
    assert settings.environment("dev", "ml") == Settings().environment("x", "y")


def test_a_named_file_that_is_not_there_says_who_named_it(tmp_path):
    with pytest.raises(ConfigError, match="named by --config"):
        load({"config": str(tmp_path / "x")}, {})
    with pytest.raises(ConfigError, match="named by MLCONSOLE_CONFIG"):
        load({}, {"MLCONSOLE_CONFIG": str(tmp_path / "x")})


def test_without_the_file_the_command_line_still_holds(file):
    with pytest.raises(ConfigError):
        file("broken")
    loaded = load({"read_only": True}, {}, file=False)
    assert (loaded.settings.read_only, loaded.path) == (True, None)


@pytest.mark.parametrize(
    ("text", "value"), [("90s", 90.0), ("5m", 300.0), ("1h30m", 5400.0), ("250ms", 0.25), ("0s", 0.0)]
)
def test_seconds(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "5", "5 m", "m5", "1h-2m", "1e3s"])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="is no duration"):
        seconds(text)


def test_an_environments_own_prometheus_wins(file):
    text = '[metrics]\nprometheus_url = "http://all"\n[environments.eu]\ncontexts = ["*-eu"]\nprometheus_url = "http://eu"\n'
    settings = file(text).settings
    assert settings.prometheus_url("prod-eu", "ml") == "http://eu"
    assert settings.prometheus_url("prod-us", "ml") == "http://all"
    assert Settings().prometheus_url("prod-eu", "ml") == ""


def test_a_rule_says_where_it_is_written(file):
    text = '[environments.prod]\nmin_idle = "1h"\n[environments.prod.freeze.x]\nstart = "18:00"\n'
    settings = file(text, {"read_only": True}).settings
    assert settings.written("environments.prod.min_idle") == "mlconsole.toml:2"
    assert settings.written("environments.prod.freeze.x") == "mlconsole.toml:4"
    assert settings.written("read_only") == "--read-only"
    assert settings.written("environments.prod.freez") == ""


def test_an_analysis_of_any_service_may_be_required(file):
    text = '[environments.p]\nrequired_gates = ["slow", "smoke"]\n[services.x.analysis.slow]\ncondition = "p95 < 1"\n'
    assert file(text).settings.environments["p"].required_gates == ("slow", "smoke")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '[services.x.panels.latencyy]\ntitle = "t"\n',
            "mlconsole.toml:2: `services.x.panels.latencyy`: no panel is called 'latencyy', and it has no `query`",
        ),
        (
            '[services.x.panels.new]\nquery = "a"\nqueries = { p = "b" }\n',
            ":3: `services.x.panels.new.queries`: it has a `query` too",
        ),
        (
            '[services.x.panels.new]\nqury = "a"\n',
            ":2: unknown key `services.x.panels.new.qury`; did you mean `query`?",
        ),
        ('[defaults.panels.new]\nquery = "$sum(x"\n', ":2: `defaults.panels.new.query`: a parenthesis is not closed"),
        (
            '[services.x.panels.new]\nquery = "x{$selektor}"\n',
            ":2: `services.x.panels.new.query`: unknown word $selektor",
        ),
        ('[services.x.panels.new.queries]\np95 = ""\n', ":2: `services.x.panels.new.queries.p95`: it is empty"),
        ('[services.x.panels.new]\nform = "pie"\nquery = "a"\n', ":2: `services.x.panels.new.form`: "),
        (
            '[services.x.panels.new]\nform = "heat"\nquery = "a"\n',
            ":2: `services.x.panels.new.form`: a heat map takes a query by bucket",
        ),
        (
            '[services.x.panels.new]\nlabel = "a"\nqueries = { a = "b" }\n',
            ":2: `services.x.panels.new.label`: it names the lines of a `query`",
        ),
        (
            '[services.x.panels."New one"]\nquery = "a"\n',
            "`services.x.panels.New one`: a panel is named with lower-case letters",
        ),
        (
            '[services.x.panels.new]\nquery = "a"\nthresholds = { SLO = "high" }\n',
            ":3: `services.x.panels.new.thresholds",
        ),
        (
            '[services.x.queries]\n"latency.p59" = "a"\n',
            "`services.x.queries.latency.p59`: no panel has 'latency.p59'; did you mean 'latency.p99'?",
        ),
        (
            '[metrics]\nprometheus_url = "kube://m"\n',
            ":2: `metrics.prometheus_url`: 'kube://m': it is not like kube://NAMESPACE/SERVICE:PORT",
        ),
        (
            '[metrics]\nprometheus_url = "kube://m/p:1"\n[metrics.auth]\nusername = "x"\n',
            "the API server takes the login",
        ),
        (
            '[environments.e]\nprometheus_url = "kube://m/p:1"\n[metrics.auth]\nheaders = { Impersonate-User = "x" }\n',
            ":2: `environments.e.prometheus_url`: 'kube://m/p:1': the header Impersonate-User",
        ),
    ],
)
def test_what_is_wrong_with_a_panel_is_told_with_its_place(file, text, words):
    with pytest.raises(ConfigError) as error:
        file(text)
    assert words in str(error.value)


def test_panels_of_the_defaults_are_every_services(file):
    text = '[defaults.panels.heat]\nhidden = true\n[services.x.panels.tokens]\nquery = "$sum(t{$selector})"\n'
    settings = file(text).settings
    assert sorted(settings.service("ml", "x").panels) == ["heat", "tokens"]
    assert sorted(settings.service("ml", "y").panels) == ["heat"]


def test_the_one_of_several_named_tables_that_is_wrong_is_told(file):
    text = '[services.x.panels.a]\nquery = "a"\n[services.x.panels.b]\nquery = 3\n'
    with pytest.raises(ConfigError, match=r"mlconsole.toml:4: `services.x.panels.b.query`: expected text"):
        file(text)
    with pytest.raises(ConfigError, match=r"mlconsole.toml:4: `defaults.panels.b.form`"):
        file('[defaults.panels.a]\nquery = "a"\n[defaults.panels.b]\nform = "pie"\n')


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gain = {max_drop = 1.0}", "validation.metrics.gain`: which way is better nobody knows by its name"),
        ("rmse = {mx = 1}", "unknown key `services.fraud.validation.metrics.mx`; did you mean `max`"),
        ("f1 = {max_drop = -1}", "expected a number >= 0.0"),
        ("f1 = {min = 0.9, max = 0.8}", "min is above max: nothing passes"),
        ("f1 = {min = nan}", "min is no number"),
    ],
)
def test_a_limit_that_says_too_little_or_cannot_hold_is_refused_with_its_place(tmp_path, text, words):
    path = tmp_path / "mlconsole.toml"
    path.write_text(f"[services.fraud.validation.metrics]\n{text}\n")
    with pytest.raises(ConfigError) as told:
        load({"config": str(path)}, {})
    assert words in str(told.value)
    assert "mlconsole.toml:" in str(told.value)


def test_the_defaults_of_validation_are_those_of_the_domain():
    from mlconsole.configvalidation import Validation
    from mlconsole.domain import validation
    from mlconsole.domain.statistics.bootstrap import RESAMPLES

    found = Validation()
    assert (found.max_drop, found.min_rows, found.confidence, found.resamples) == (
        validation.MAX_DROP,
        validation.MIN_ROWS,
        validation.CONFIDENCE,
        RESAMPLES,
    )
