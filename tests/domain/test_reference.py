import math

import pytest

from mlconsole.domain.reference import BadReference, Categorical, Numeric, Reference, decode, encode


def test_it_comes_back_as_it_went():
    reference = Reference(
        {"age": Numeric((1.0, 2.0), (1, 2, 3), missing=4, sample=(0.5,)), "land": Categorical({"de": 3.0})},
        Numeric((0.5,), (2, 4)),
        rows=6,
        made_at=5.0,
        source="train.parquet",
    )
    assert decode(encode(reference)) == reference
    assert reference.features["age"].n == 6
    assert reference.features["land"].n == 3


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        (Reference({"a": Numeric((1.0,), (1,))}), "a: 1 edges want 2 counts"),
        (Reference({"a": Numeric((2.0, 1.0), (1, 1, 1))}), "a: edges must be finite and rise"),
        (Reference({"a": Categorical({"x": -1})}), "a: counts must be numbers of zero or more"),
        (Reference({}, Numeric((1.0,), (1,))), "prediction: 1 edges"),
        (Reference({}, format=9), "format 9"),
    ],
)
def test_what_is_none_is_said_to_be_none(reference, words):
    with pytest.raises(BadReference, match=words):
        decode(encode(reference))


def test_no_json_and_no_numbers():
    with pytest.raises(BadReference, match="no reference of mlconsole"):
        decode(b"{")
    with pytest.raises(BadReference):
        decode(encode(Reference({"a": Numeric((math.inf,), (1, 1))})))
