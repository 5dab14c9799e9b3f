import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.domain.payloads import payloads

COLUMNS = ("amount", "hour")
TWO = ({"features": [1, 2]}, {"features": [3, 4]})


@pytest.mark.parametrize(
    "example",
    [
        {"columns": ["amount", "hour"], "data": [[1, 2], [3, 4]]},
        {"columns": ["hour", "amount"], "data": [[2, 1], [4, 3]]},
        {"columns": ["amount", "hour"], "index": [0, 1], "data": [[1, 2], [3, 4]]},
        {"dataframe_split": {"columns": ["amount", "hour"], "data": [[1, 2], [3, 4]]}},
        {"dataframe_records": [{"amount": 1, "hour": 2}, {"hour": 4, "amount": 3}]},
        [{"hour": 2, "amount": 1}, {"amount": 3, "hour": 4}],
        {"inputs": [[1, 2], [3, 4]]},
        {"instances": [{"amount": 1, "hour": 2}, {"amount": 3, "hour": 4}]},
        {"inputs": {"hour": [2, 4], "amount": [1, 3]}, "params": {"k": 1}},
        [[1, 2], [3, 4]],
    ],
)
def test_a_table_gives_a_payload_a_row_in_the_order_of_the_signature(example):
    assert payloads(example, COLUMNS) == TWO


@pytest.mark.parametrize(
    ("example", "expected"),
    [
        ([1, 2], ({"features": [1, 2]},)),
        ({"amount": 1, "hour": 2}, ({"features": [1, 2]},)),
        ({"hour": 2, "other": 1}, ({"features": [2, 1]},)),
        ({"features": {"amount": 1}}, ({"features": {"amount": 1}},)),
        ([{"features": [1]}, {"features": [2]}], ({"features": [1]}, {"features": [2]})),
        ({"messages": [{"role": "user"}], "n": 1}, ({"messages": [{"role": "user"}], "n": 1},)),
        ({"columns": ["a", "a"], "data": [[1, 2]]}, ({"features": [1, 2]},)),
        ("a text", ({"features": ["a text"]},)),
        ([], ()),
        ({}, ()),
        ({"columns": [], "data": []}, ()),
    ],
)
def test_what_is_no_table(example, expected):
    assert payloads(example, COLUMNS) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(JSON | st.fixed_dictionaries({"columns": JSON, "data": JSON}), st.integers(1, 5))
def test_any_json_gives_payloads_and_never_more_than_asked_for(example, limit):
    assert len(payloads(example, COLUMNS, limit)) <= limit
