"""`--help` answers at once: nothing heavy on the way there, for any command line that only asks for words."""

import subprocess
import sys

import pytest

HEAVY = ("textual", "rich", "msgspec", "kubernetes", "aiohttp", "yaml", "mlflow", "pandas", "scipy", "docker", "numpy")
HEAVY += ("pyarrow",)
PROBE = """
import sys
from mlconsole.cli import main
try:
    main(sys.argv[2:])
finally:
    sys.stdout.write("\\nimported: " + " ".join(name for name in sys.argv[1].split() if name in sys.modules))
"""


PLANNED = ["deploy", "switch", "rollback", "scale", "restart", "pause", "unpause", "adopt", "drill"]
OF_OPERATIONS = [*PLANNED, "operations", "audit", "keep", "approve", "abort", "handover", "resume", "abandon"]
ALSO = [["--help"], ["--version"], ["demo", "--help"], ["statsu"], ["drift", "--help"], ["validate", "--help"]]
ALSO += [["alerts", "--help"], ["watch", "--help"]]


@pytest.mark.parametrize("arguments", [*ALSO, *([name, "--help"] for name in OF_OPERATIONS)], ids=" ".join)
def test_words_import_nothing_heavy(arguments):
    command = [sys.executable, "-c", PROBE, " ".join(HEAVY), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "mlconsole" in ended.stdout + ended.stderr
    assert ended.stdout.splitlines()[-1] == "imported: ", ended.stdout


async def test_every_command_has_help_that_names_the_exit_codes(run):
    from mlconsole.cli import COMMANDS

    for command in COMMANDS:
        ended = await run(command, "--help")
        assert ended.code == 0
        assert command == "demo" or "exit codes:" in ended.out
    assert set(COMMANDS) <= set((await run("--help")).out.split())


async def test_only_what_opens_a_console_has_options_for_its_look(run):
    from mlconsole.cli import ACTIONS, COMMANDS

    for command in ("", *COMMANDS):
        words = [command, *(["show"] if command in ACTIONS else [])] if command else []
        said = (await run(*words, "--help")).out
        opens = command in ("", "demo")
        assert [option in said for option in ("--theme", "--ascii")] == [opens, opens], command
        assert "--read-only" in said, command
    refused = await run("status", "--ascii")
    assert (refused.code, "--ascii" in refused.err) == (2, True), refused


async def test_every_command_of_operations_documents_its_json(run):
    for command in OF_OPERATIONS:
        assert "with --output json, one object:" in (await run(command, "--help")).out


async def test_breaking_the_glass_is_documented_where_it_can_be_done(run):
    for command in PLANNED:
        assert "`lock` breaks the glass" in " ".join((await run(command, "--help")).out.split())


async def test_the_console_is_launched_with_the_options(run, monkeypatch):
    given = []
    launch = type(sys)("mlconsole.ui.launch")
    launch.run = lambda options: given.append(options) or 0
    monkeypatch.setitem(sys.modules, "mlconsole.ui.launch", launch)
    assert (await run()).code == 0
    assert (await run("-n", "ml", "--context", "c", "--read-only", "--theme", "t", "--ascii", "-A")).code == 0
    assert given[0] == {}
    assert given[1] == {
        "namespace": "ml",
        "context": "c",
        "read_only": True,
        "theme": "t",
        "ascii": True,
        "all_namespaces": True,
    }


async def test_the_demo_has_its_own_place(run):
    ended = await run("--context", "prod", "demo", "--headless")
    assert ended.code == 2
    assert "--context" in ended.err
