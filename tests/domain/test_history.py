from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from mlconsole.domain.history import (
    KEEP,
    Kind,
    Outcome,
    Record,
    bounded,
    decode,
    encode,
    foreign_lines,
    is_bad,
    is_bad_revision,
    last_known_good,
    merge,
)
from mlconsole.domain.services import Release

WATCH = 300.0


def release(number):
    return Release(model="m", version=str(number), image=f"m:{number}", digest=f"sha256:{number:064x}")


def move(number, kind, source, target, at, outcome=Outcome.VERIFIED, **more):
    return Record(
        id=f"op{number}",
        kind=kind,
        service="s",
        namespace="n",
        at=at,
        user="u",
        from_release=release(source),
        to_release=release(target),
        outcome=outcome,
        verified_at=at + 1.0 if outcome is Outcome.VERIFIED else 0.0,
        **more,
    )


def test_a_release_that_outlived_its_watch_window_is_the_way_back():
    records = [move(1, Kind.SWITCH, 11, 12, 0), move(2, Kind.SWITCH, 12, 13, 1000)]
    good = last_known_good(records, 1100, WATCH, release(13))
    assert good is not None
    assert good.release == release(12)
    assert good.left_at == 1000


def test_a_release_left_within_its_watch_window_never_counts():
    records = [move(1, Kind.SWITCH, 11, 12, 0), move(2, Kind.SWITCH, 12, 13, 100)]
    assert last_known_good(records, 5000, WATCH, release(13)) is None


def test_rolling_back_twice_does_not_return_to_the_bad_release():
    records = [
        move(1, Kind.SWITCH, 11, 12, 0),
        move(2, Kind.SWITCH, 12, 13, 1000),
        move(3, Kind.ROLLBACK, 13, 12, 2000),
    ]
    assert is_bad(release(13), records)
    assert last_known_good(records, 9000, WATCH, release(12)) is None


def test_an_unverified_rollback_still_marks_what_it_left_as_bad():
    records = [move(1, Kind.ROLLBACK, 13, 12, 0, Outcome.UNVERIFIED)]
    assert is_bad(release(13), records)


def test_a_verified_switch_back_lifts_the_verdict():
    records = [move(1, Kind.ROLLBACK, 13, 12, 0), move(2, Kind.SWITCH, 12, 13, 1000)]
    assert not is_bad(release(13), records)


def test_a_failed_operation_moves_nothing():
    records = [
        move(1, Kind.SWITCH, 11, 12, 0),
        move(2, Kind.SWITCH, 12, 13, 1000, Outcome.FAILED),
        move(3, Kind.SWITCH, 12, 14, 2000),
    ]
    good = last_known_good(records, 3000, WATCH, release(14))
    assert good is not None
    assert (good.release, good.left_at) == (release(12), 2000)


def test_the_first_switch_ever_has_a_way_back_if_what_it_left_was_seen_good():
    records = [move(1, Kind.SWITCH, 12, 13, 1000, from_good_since=10.0)]
    good = last_known_good(records, 1001, WATCH, release(13))
    assert good is not None
    assert good.release == release(12)
    assert last_known_good([move(1, Kind.SWITCH, 12, 13, 1000)], 1001, WATCH, release(13)) is None


def test_same_version_with_another_digest_is_another_release():
    rebuilt = Release(model="m", version="12", image="m:12", digest="sha256:" + "f" * 64)
    assert not release(12).same_as(rebuilt)


def test_the_later_line_of_an_operation_wins_and_garbage_is_complained_of():
    open_ = move(1, Kind.SWITCH, 11, 12, 5.0, Outcome.OPEN)
    done = move(1, Kind.SWITCH, 11, 12, 5.0)
    text = encode([open_]) + encode([done]) + "not json\n\n"
    records, complaints = decode(text)
    assert records == [done]
    assert len(complaints) == 1
    assert "line 3" in complaints[0]


moves = st.builds(
    lambda kind, source, target, outcome: (kind, source, target, outcome),
    st.sampled_from(Kind),
    st.integers(1, 4),
    st.integers(1, 4),
    st.sampled_from(Outcome),
)


def history(steps):
    return [move(i, kind, a, b, i * 400.0, outcome) for i, (kind, a, b, outcome) in enumerate(steps)]


@given(st.lists(moves, max_size=12), st.integers(1, 4))
def test_the_way_back_is_never_bad_and_never_where_we_are(steps, live):
    records = history(steps)
    good = last_known_good(records, 1e6, WATCH, release(live))
    if good is not None:
        assert not is_bad(good.release, records)
        assert not good.release.same_as(release(live))
        assert any(r.outcome is Outcome.VERIFIED and r.to_release == good.release for r in records)


@given(st.lists(moves, max_size=KEEP + 20))
def test_what_is_written_is_read_again_and_bounded(steps):
    records = history(steps)
    again, complaints = decode(encode(records))
    assert complaints == []
    assert again == bounded(merge(records))
    assert len(again) == min(KEEP, len(records))


def test_traffic_that_was_moved_by_other_means_makes_nothing_good():
    """v12 was verified, and when traffic was next left it was on v13: when v12 was left, and why, nobody knows."""
    records = [move(1, Kind.SWITCH, 11, 12, 0), move(2, Kind.SWITCH, 13, 14, 100_000)]
    assert last_known_good(records, 100_001, WATCH, release(14)) is None


def test_a_release_that_was_gone_back_to_in_another_revision_is_the_same_release_and_not_bad():
    assert not is_bad(release(12), [move(1, Kind.ROLLBACK, 12, 12, 0, from_revision=5, to_revision=4)])
    assert is_bad_revision(5, [move(1, Kind.ROLLBACK, 12, 12, 0, Outcome.OPEN, from_revision=5, to_revision=4)])
    assert not is_bad_revision(4, [move(1, Kind.ROLLBACK, 12, 12, 0, from_revision=5, to_revision=4)])


def test_what_is_written_last_of_an_operation_does_not_move_it_in_the_order():
    first, second = move(1, Kind.SWITCH, 11, 12, 500), move(2, Kind.ROLLBACK, 12, 11, 100)
    assert [record.id for record in merge([first, second, first])] == ["op1", "op2"]


def test_lines_of_a_newer_version_are_kept_as_they_are():
    newer = '{"id":"x","kind":"canary"}'
    text = newer + "\n" + encode([move(1, Kind.SWITCH, 11, 12, 0.0)])
    assert foreign_lines(text) == [newer]
    assert encode(decode(text)[0], foreign=foreign_lines(text)) == text


def test_a_first_switch_that_was_interrupted_leaves_its_way_back():
    records = [move(1, Kind.SWITCH, 12, 13, 1000.0, Outcome.OPEN, from_good_since=10.0)]
    good = last_known_good(records, 1001.0, WATCH, release(13))
    assert good is not None
    assert good.release == release(12)


def test_a_deploy_counts_as_a_move_only_where_it_went_on():
    stayed = move(1, Kind.DEPLOY, 12, 13, 0)
    went_on = move(2, Kind.DEPLOY, 12, 13, 1000, moved=True)
    assert last_known_good([stayed], 9000, WATCH, release(14)) is None
    good = last_known_good([went_on], 9000, WATCH, release(14))
    assert good is not None
    assert good.release == release(13)
    assert is_bad(release(13), [move(3, Kind.ROLLBACK, 13, 12, 0), stayed])
    assert not is_bad(release(13), [move(3, Kind.ROLLBACK, 13, 12, 0), went_on])


def test_what_nobody_kept_in_time_is_not_bad_for_it():
    switched = move(1, Kind.SWITCH, 1, 2, 100.0, Outcome.RETURNED)
    back = move(2, Kind.ROLLBACK, 2, 1, 200.0)
    assert is_bad(release(2), [switched, back])
    assert not is_bad(release(2), [switched, replace(back, blameless=True)])
