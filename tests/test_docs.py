"""What the README and docs/ say is so: the links lead somewhere, the keys and defaults are those of the code."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from mlconsole import config

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TABLES = {
    "Top level": config.Settings,
    "[cluster]": config.Cluster,
    "[registry]": config.Registry,
    "[metrics]": config.Metrics,
    "[metrics.auth]": config.Auth,
    "[docker]": config.Docker,
    "[ui]": config.Ui,
    "[environments.NAME]": config.Environment,
    "[services.NAME]": config.ServiceSettings,
    "[services.NAME.thresholds]": config.Thresholds,
    "[services.NAME.panels.PANEL]": config.PanelSettings,
    "[services.NAME.gates]": config.Gates,
    "[services.NAME.verify]": config.Verify,
    "[services.NAME.deploy]": config.Deploy,
    "[services.NAME.smoke]": config.Smoke,
    "[services.NAME.parity]": config.Parity,
    "[services.NAME.analysis.ANALYSIS]": config.Analysis,
    "[services.NAME.validation]": config.Validation,
    "[services.NAME.validation.metrics.METRIC]": config.Limit,
    "[services.NAME.watch]": config.Watch,
    "[environments.NAME.freeze.FREEZE]": config.Freeze,
    "[alerts.ALERT]": config.Alert,
    "[notify]": config.Notify,
    "[notify.webhook]": config.Webhook,
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def documented():
    """Table to {key: default} of docs/configuration.md."""
    found = {}
    for section in re.split(r"^## ", (ROOT / "docs/configuration.md").read_text(), flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        found[title.strip("` ")] = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", body, re.MULTILINE))
    return found


def value(text):
    """A default as it is written."""
    if text == "not set":
        return None
    written = text.strip("`")
    return (
        config.seconds(written) if re.fullmatch(r"[\d.]+(ms|s|m|h)", written) else tomllib.loads(f"x = {written}")["x"]
    )


def settings_of(struct):
    """Key to default, as TOML would have it; the tables within are sections of their own."""
    found = {}
    for field in msgspec.structs.fields(struct):
        default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
        tables = field.name in ("environments", "services", "analysis", "freeze", "alerts", "metrics")
        own_section = isinstance(default, msgspec.Struct) or (tables and isinstance(default, dict))
        own_section = own_section or not field.encode_name.isidentifier()  # no key of the file
        if not own_section:
            found[field.encode_name] = list(default) if isinstance(default, tuple) else default
    return found


@pytest.mark.parametrize("table", TABLES)
def test_every_setting_is_documented_with_its_default(table):
    told = {key: value(text) for key, text in documented()[table].items()}
    assert told == settings_of(TABLES[table])


def test_every_section_is_a_table_of_the_settings():
    assert set(documented()) == set(TABLES)


def test_the_configuration_in_the_readme_loads(tmp_path):
    (text,) = re.findall(r"^```toml\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    path = tmp_path / "mlconsole.toml"
    path.write_text(text)
    settings = config.load({"config": str(path)}, {}).settings
    assert settings.environment("prod-eu", "ml").production
    assert settings.service("ml", "fraud-scorer").watch_window == 300


def test_the_first_two_sh_blocks_make_and_use_a_virtual_environment():
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert blocks[0].count("\n") == blocks[1].count("\n") == 1
    assert blocks[0].startswith("python3 -m venv .venv && ")
    assert blocks[0].endswith(".venv/bin/mlconsole demo\n")
    assert blocks[1].startswith("python3 -m venv .venv && ")
    assert blocks[1].endswith(".venv/bin/python -m pytest\n")
