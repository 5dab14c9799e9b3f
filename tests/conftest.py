"""What holds for every test: it leaves the environment as it found it; and what it tried is told at the end.

The tests run in several processes (pytest-xdist): what they tried reaches the one that prints in their reports.
"""

import collections
import os

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

settings.register_profile("mlconsole", deadline=None)  # how long an example takes says nothing of it: benchmarks/ do
settings.load_profile("mlconsole")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # whoever imports MLflow first: no test calls home
BEFORE = pytest.StashKey[dict]()
TRIED = "tried"
ONCE = (
    "MLFLOW_HTTP_REQUEST_TIMEOUT",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES",
    "MLFLOW_ALLOW_FILE_STORE",
    "MLFLOW_DISABLE_TELEMETRY",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR",
    "MLFLOW_LOGGING_LEVEL",
    "KMP_DUPLICATE_LIB_OK",
    "KMP_INIT_AT_FORK",
)
"""What `registry.reader` sets, once in each process that reads, before it imports MLflow; and scikit-learn's own."""


# ---- several at a time

EACH = ("tests/kills/", "tests/engine/")
"""Where every test is on its own."""
TOGETHER = ("tests/registry/", "tests/e2e/", "tests/engine/test_releases.py", "tests/engine/test_validated.py")
"""Where all share what is dear (a trained registry and its server), or the real cluster."""
LONGEST = (
    "tests/kills/",
    *TOGETHER,
    "tests/ui/test_console.py",
    "tests/demo/",
    "tests/metrics/",
    "tests/commands/",
    "tests/ui/",
    "tests/engine/",
)
"""What is begun first: what one process has long to do; small pieces come last, and fill what time there is."""
REAL = "[real"
"""In the name of a test of kills or engine that is on the real cluster: one at a time, with those end to end."""


def pytest_xdist_auto_num_workers(config):
    """Most of these tests wait for processes and clocks: twice as many at a time as there are processors."""
    if config.option.file_or_dir:
        return 0  # whoever names some of them wants them in this process, or says how many
    return 2 * len(os.sched_getaffinity(0))


def pytest_xdist_make_scheduler(config, log):
    """Tests that share what is dear to make run in one process, one after the other."""
    return Sharing(config, log)


class Sharing(LoadScopeScheduling):
    """Hands out files of tests, but for `EACH` and `TOGETHER`."""

    def _split_scope(self, nodeid):
        if together := next((start for start in TOGETHER if nodeid.startswith(start)), ""):
            return together
        if nodeid.startswith(EACH):
            return "tests/e2e/" if REAL in nodeid else nodeid
        return nodeid.partition("::")[0]

    def schedule(self):
        self.config.option.loadscopereorder = False
        super().schedule()


def pytest_collection_modifyitems(items):
    """Order them by `LONGEST`."""

    def rank(item):
        return next((number for number, start in enumerate(LONGEST) if item.nodeid.startswith(start)), len(LONGEST))

    items.sort(key=rank)


# ---- the environment


def environment():
    """The environment, but for what pytest and the registry's reader keep there."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTEST_CURRENT_TEST", *ONCE)}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item):
    """Before any fixture of the test, of whatever scope."""
    item.stash[BEFORE] = environment()
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item):
    """After its last fixture: what it left in the environment would be in that of any console of a later test."""
    ended = yield
    before, after = item.stash[BEFORE], environment()
    left = sorted(name for name in before | after if before.get(name) != after.get(name))
    for name in left:
        os.environ.pop(name, None)
    os.environ.update({name: before[name] for name in left if name in before})
    if left:
        pytest.fail(f"it left the environment changed: {', '.join(left)}", pytrace=False)
    return ended


# ---- what was tried, and what came of it


@pytest.fixture
def tried(record_property):
    """`tried(heading, *cells)`: one more of these, in the table with that heading, that is printed at the end."""
    return lambda *cells: record_property(TRIED, cells)


class Tables:
    """What was tried and what came of it, in every process, by the tables' headings."""

    def __init__(self):
        self.found = collections.defaultdict(collections.Counter)

    def pytest_runtest_logreport(self, report):
        if report.when == "call":
            for name, cells in report.user_properties:
                if name == TRIED:
                    self.found[cells[0]][tuple(cells[1:])] += 1

    def pytest_terminal_summary(self, terminalreporter):
        for heading, rows in sorted(self.found.items()):
            terminalreporter.section(heading)
            lines = [(*row, str(count)) for row, count in sorted(rows.items())]
            widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
            for line in lines:
                cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
                terminalreporter.write_line("  ".join(cells).rstrip())
            every = os.environ.get("MLCONSOLE_TEST_KILLS") == "all"
            how = "every point" if every else "a sample; MLCONSOLE_TEST_KILLS=all tries every point"
            terminalreporter.write_line(f"{rows.total()} in all ({how})")


def pytest_configure(config):
    """Only where it is printed: not in pytest-xdist's workers."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Tables())
