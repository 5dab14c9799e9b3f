"""`mlconsole audit`: what is on record in the cluster and on this machine, filtered, exported; no secret in it."""

import asyncio
import os
import time

import msgspec
import pytest

from commands.conftest import journal
from mlconsole.cluster import history
from mlconsole.commands.auditing import Line, merged, since
from mlconsole.commands.exits import Stop
from mlconsole.domain.history import Kind, Outcome, Record
from mlconsole.domain.services import Release
from mlconsole.engine.audit import Journal, default_path

NOW = 1_800_000_000.0


def record(number, ago, kind=Kind.SWITCH, outcome=Outcome.VERIFIED, user="ann", **more):
    values = {"from_color": "blue", "to_color": "green", "to_release": Release(version="13")} | more
    return Record(str(number), kind, "fraud", "ml", time.time() - ago, user, outcome=outcome, **values)


@pytest.fixture
async def past(fraud):
    """Four operations on record in the cluster."""
    records = [
        record(1, 90_000, user="bob"),
        record(2, 7_200, Kind.ROLLBACK, reason="p95 doubled"),
        record(3, 600, outcome=Outcome.FAILED, message="refused: token=abcdefgh12345"),
        record(4, 60, waived=("answers",), reason="a drill"),
    ]
    found = history.Past()
    for item in records:
        found = await history.append(fraud.connection, [item], found)
    return records


async def ids(run, *arguments):
    ended = await run("audit", "fraud", *arguments, "--output", "json")
    assert ended.code == 0, ended.err
    return "".join(item["id"] for item in ended.json["operations"])


async def test_nothing_is_on_record(run, fraud):
    ended = await run("audit", "fraud")
    assert (ended.code, ended.out) == (0, "no operation on ml/fraud is on record\n")


async def test_all_the_newest_first(run, past):
    assert await ids(run) == "4321"
    ended = await run("audit", "ml/fraud")
    lines = ended.out.splitlines()
    assert lines[0].startswith("WHEN")
    assert "a drill; waived answers" in lines[1]
    assert "green v13" in lines[1]
    assert "bob" in lines[4]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("--kind", "rollback"), "2"),
        (("--kind", "rollback", "--kind", "switch"), "4321"),
        (("--outcome", "failed"), "3"),
        (("--by", "BO"), "1"),
        (("--since", "1h"), "43"),
        (("--since", "7d", "--kind", "switch", "--outcome", "verified"), "41"),
        (("--limit", "2"), "43"),
        (("--by", "nobody"), ""),
    ],
)
async def test_filters(run, past, arguments, found):
    assert await ids(run, *arguments) == found


async def test_no_filter_matches_is_said(run, past):
    assert "of that kind" in (await run("audit", "fraud", "--by", "nobody")).out


@pytest.mark.parametrize(
    "arguments",
    [("--kind", "swich"), ("--outcome", "good"), ("--since", "yesterday"), ("--limit", "-1"), ("--limit", "x")],
)
async def test_2_what_is_no_filter(run, past, arguments):
    ended = await run("audit", "fraud", *arguments)
    assert ended.code == 2
    assert "Traceback" not in ended.err


async def test_secrets_stay_out(run, past, home):
    for arguments in ((), ("--output", "json"), ("--export", "-"), ("--export", str(home / "out.jsonl"))):
        ended = await run("audit", "fraud", *arguments)
        assert ended.code == 0
        assert "abcdefgh" not in ended.out
    assert "abcdefgh" not in (home / "out.jsonl").read_text()


async def test_export_is_the_records_themselves(run, past, home):
    path = home / "fraud.jsonl"
    ended = await run("audit", "fraud", "--kind", "switch", "--export", str(path))
    assert (ended.code, "3 written to" in ended.out) == (0, True)
    read = [msgspec.json.decode(line, type=Record) for line in path.read_bytes().splitlines()]
    assert [item.id for item in read] == ["1", "3", "4"]
    assert read[2] == past[3]
    assert path.stat().st_mode & 0o777 == 0o600
    again = await run("audit", "fraud", "--export", str(path))
    assert (again.code, "there already" in again.err) == (2, True)
    assert (await run("audit", "fraud", "--export", str(home / "no" / "where"))).code == 2


async def test_what_began_here_is_merged_by_its_id(run, fraud, past):
    here = Journal(default_path(os.environ))
    await asyncio.to_thread(here.append, record(2, 7_200, Kind.ROLLBACK, outcome=Outcome.OPEN))
    await asyncio.to_thread(here.append, record(5, 30, Kind.ROLLBACK, context="demo"))
    await asyncio.to_thread(here.append, record(6, 20, context="another-cluster"))
    found = (await run("audit", "fraud", "--local", "--output", "json")).json["operations"]
    assert [(item["id"], item["on_record"]) for item in found] == [
        ("5", "here"),
        ("4", "cluster"),
        ("3", "cluster"),
        ("2", "both"),
        ("1", "cluster"),
    ]
    assert found[3]["outcome"] == "verified"
    assert "ON RECORD" in (await run("audit", "fraud", "--local")).out


async def test_a_real_operation_is_in_both(run, fraud):
    await run("switch", "fraud", "--yes", "--reason", "a test", "--waive", "answers")
    (found,) = (await run("audit", "fraud", "--local", "--output", "json")).json["operations"]
    assert (found["id"], found["on_record"]) == (journal()[0]["id"], "both")
    assert (found["kind"], found["outcome"], found["waived"]) == ("switch", "unverified", ["answers"])
    assert found["plan_hash"]


async def test_5_unreachable_shows_what_is_here(run, fraud, home):
    await asyncio.to_thread(Journal(default_path(os.environ)).append, record(5, 30, context="demo"))
    near = fraud.server.kubeconfig(namespace="ml")
    (home / "far").write_text(near.replace(fraud.server.url, "http://127.0.0.1:1"))
    far = ("audit", "fraud", "--kubeconfig", str(home / "far"), "--output", "json")
    ended = await run(*far)
    assert ended.code == ended.json["exit_code"] == 5
    ended = await run(*far, "--local")
    assert (ended.code, [item["id"] for item in ended.json["operations"]]) == (5, ["5"])
    assert "could not be read" in ended.json["problems"][0]


async def test_a_torn_line_is_said(run, fraud):
    path = default_path(os.environ)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"id": "1", "ki\n')
    ended = await run("audit", "fraud", "--local")
    assert ended.code == 0
    assert "WARNING" in ended.out


async def test_a_viewer_may_read_it(run, guarded, past):
    guarded("viewer")
    assert await ids(run) == "4321"


def test_an_outcome_counts_for_more_than_an_intent():
    intent, outcome = record(1, 10, outcome=Outcome.OPEN), record(1, 10)
    assert merged([intent], [outcome]) == [Line(outcome, "both")]
    assert merged([outcome], [intent]) == [Line(outcome, "both")]
    assert merged([intent], []) == [Line(intent, "cluster")]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", NOW - 90),
        ("1.5h", NOW - 5400),
        ("7d", NOW - 7 * 86400),
        ("1970-01-02", 86400.0),
        ("1970-01-01T01:00Z", 3600.0),
        ("1970-01-01T01:00+01:00", 0.0),
    ],
)
def test_since(text, moment):
    assert since(text, NOW) == moment


def test_since_takes_nothing_else():
    for text in ("", "h", "-1h", "1y", "24/11"):
        with pytest.raises(Stop):
            since(text, NOW)
