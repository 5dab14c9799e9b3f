"""The rules and the notifications in mlconsole.toml: what is read, and what each mistake is told as."""

import pytest

from mlconsole.config import ConfigError, load


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[alerts.a]\nseverity = 'page'", ":2: `alerts.a`: it looks at nothing"),
        ("[alerts.a]\nquery = 'up'", "no `condition`: say what is wrong with the `result`"),
        ("[alerts.a]\ncondition = 'p95 >'", ":2: `alerts.a.condition`"),
        ("[alerts.a]\ncondition = 'p95 > 1'\nclear = 'p96 < 1'", ":3: `alerts.a.clear`"),
        ("[services.x.alerts.a]\ncondition = 'result > 1'", "`result` is that of a query, and there is none"),
        ("[services.x.alerts.a]\nconditon = 'p95 > 1'", "did you mean `condition`?"),
        ("[alerts.a]\ncondition = 'p95 > 1'\nfor = 'soon'", "no duration"),
        ("[notify.webhook]\nurl = 'hooks.example'", "is not an address like https://"),
        ("[notify]\ncommand = ['']", "the program to run, and it is empty"),
        ("[notify]\nbel = true", "did you mean `bell`?"),
    ],
)
def test_an_alert_that_is_none_is_told_with_its_place(tmp_path, text, words):
    path = tmp_path / "mlconsole.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load({"config": str(path)}, {})
    assert words in str(caught.value)


def test_alerts_are_read_with_their_durations(tmp_path):
    path = tmp_path / "mlconsole.toml"
    path.write_text(
        "[alerts.slow]\ncondition = 'p95 > 0.5'\nfor = '2m'\nkeep_firing_for = '30s'\n"
        "[defaults.alerts.off]\nenabled = false\n[services.x.alerts.own]\ncondition = 'rate < 1'\nfor = 0\n"
        "[notify.webhook]\nurl = 'https://hooks.example/x'\ntimeout = '3s'\n"
    )
    settings = load({"config": str(path)}, {}).settings
    assert (settings.alerts["slow"].hold, settings.alerts["slow"].keep_firing_for) == (120.0, 30.0)
    assert set(settings.service("ml", "x").alerts) == {"off", "own"}
    assert settings.notify.webhook.timeout == 3.0
