"""Themes as data, ASCII where there is no UTF-8, keys that all do something, and a light UI process."""

import ast
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from textual.color import Color
from textual.widget import Widget

from mlconsole.ui import themes
from mlconsole.ui.app import Console
from mlconsole.ui.ascii import to_ascii, without_utf8
from mlconsole.ui.keys import GROUPS, KEYS, MORE
from mlconsole.ui.screens.main import CLOCK_WIDTH, hints
from mlconsole.ui.spans import plain, width_of


@pytest.fixture(scope="module")
def own():
    """The console's own themes."""
    found, problems = themes.load({"XDG_CONFIG_HOME": "/nonexistent", "HOME": "/nonexistent"})
    assert not problems
    return found


def test_there_are_themes_for_the_night_the_day_the_colour_blind_and_high_contrast(own):
    assert {"night-watch", "daylight", "clear-sight", "high-contrast"} <= set(own)
    assert themes.DEFAULT in own


@pytest.mark.parametrize("name", ["night-watch", "daylight", "clear-sight", "high-contrast"])
def test_what_has_a_meaning_can_be_read_on_its_background(own, name):
    theme = own[name]
    background = Color.parse(theme.background)
    named = {
        "foreground": theme.foreground,
        "success": theme.success,
        "warning": theme.warning,
        "error": theme.error,
        "accent": theme.accent,
        "green": theme.variables["green"],
        "blue": theme.variables["blue"],
    }
    least = 7.0 if name == "high-contrast" else 4.5  # WCAG 2.2, 1.4.3 and 1.4.6
    for what, color in named.items():
        assert contrast(Color.parse(color), background) >= least, what


def contrast(one, other):
    """The contrast ratio of WCAG 2.2."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(color):
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in color.normalized]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("primary = 3", "primary"),
        ("nothing = 1", "unknown key 'nothing'"),
        ('primary = "blue"', "no colour such as"),
        ("primary = ", "Invalid value"),
        ('primary = "#112233"\nvariables = 3', "variables"),
    ],
)
def test_a_theme_that_cannot_be_used_is_named_and_left_out(tmp_path, text, words):
    folder = tmp_path / "mlconsole" / "themes"
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text(text)
    found, problems = themes.load({"XDG_CONFIG_HOME": str(tmp_path)})
    assert "mine" not in found
    assert len(problems) == 1
    assert "mine.toml" in problems[0]
    assert words in problems[0]


def test_the_users_theme_comes_before_the_consoles(tmp_path):
    folder = tmp_path / "mlconsole" / "themes"
    folder.mkdir(parents=True)
    (folder / "night-watch.toml").write_text('primary = "#112233"\ngreen = "#00ff00"\n')
    found, _ = themes.load({"XDG_CONFIG_HOME": str(tmp_path)})
    assert found["night-watch"].primary == "#112233"
    assert found["night-watch"].variables == {"green": "#00ff00"}


def test_every_key_has_an_action_and_a_group():
    for key in (*KEYS, *MORE):
        assert key.group in GROUPS
        assert key.help
        name = key.action.partition("(")[0]
        assert not name or hasattr(Console, f"action_{name}"), key
    for keys in (KEYS, MORE):
        written = [part for key in keys for part in key.key.split(",")]
        assert len(written) == len(set(written))


@pytest.mark.parametrize("width", [10, 40, 80, 120, 200])
def test_hints_fit_and_the_keys_that_move_traffic_go_last(width):
    found = hints(width)
    assert width_of(found) <= max(width, 20)
    if width >= 40:
        assert "s switch" in plain(found)
        assert "r rollback" in plain(found)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("plain", "plain"),
        ("● ▲ ✔ → …", "* ! * > ."),
        ("╭─┐│", "+-+|"),
        ("日本", "????"),
        ("⠀⠁⣿", " .#"),
        ("\x1b[31m●\x1b[0m", "\x1b[31m*\x1b[0m"),
    ],
)
def test_ascii_keeps_the_width(text, wanted):
    assert to_ascii(text) == wanted


def test_every_glyph_of_the_screens_has_a_letter():
    folder = Path(themes.__file__).parent
    texts = [
        node.value
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    glyphs = {char for text in texts for char in text if not char.isascii()}
    assert {"↑", "▲", "…"} <= glyphs
    assert [char for char in sorted(glyphs) if to_ascii(char) == "?"] == []


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"LANG": "en_US.UTF-8"}, False),
        ({"LANG": "de_DE.utf8"}, False),
        ({"LANG": "C"}, True),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, True),
        ({"LANG": "C.UTF-8", "LC_CTYPE": "C.UTF-8"}, False),
        ({"LC_CTYPE": "C.UTF-8"}, False),
        ({"LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}, True),
        ({"LANG": "de_DE.ISO-8859-1"}, True),
        ({"LANG": "en_US.UTF-8", "TERM": "linux"}, True),
    ],
)
def test_the_environment_tells_whether_the_terminal_has_utf8(environ, wanted):
    assert without_utf8(environ) is wanted


def test_the_ui_process_imports_nothing_heavy():
    code = (
        "import sys, mlconsole.ui.launch, mlconsole.ui.app, mlconsole.ui.driver, mlconsole.ui.screens.choices,"
        " mlconsole.ui.screens.operation, mlconsole.ui.screens.logs, mlconsole.ui.screens.operations,"
        " mlconsole.ui.screens.audit, mlconsole.ui.screens.more, mlconsole.ui.screens.asking;"
        "heavy = {'kubernetes', 'aiohttp', 'mlflow', 'pandas', 'scipy', 'prometheus_api_client', 'docker', 'numpy'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


async def test_a_second_that_passes_costs_the_line_the_clock_alone(silent, monkeypatch):
    async with silent() as driver:
        await driver.filled()
        await driver.pilot.pause()
        painted, refresh = [], Widget.refresh
        now = time.time() + 1
        monkeypatch.setattr("mlconsole.ui.screens.main.time", SimpleNamespace(time=lambda: now))
        monkeypatch.setattr(
            Widget, "refresh", lambda self, *a, **k: (painted.append(self.id), refresh(self, *a, **k))[1]
        )
        driver.app._main.tick()
        assert set(painted) == {"clock"}
        assert driver.app.query_one("#clock").size.width == CLOCK_WIDTH
