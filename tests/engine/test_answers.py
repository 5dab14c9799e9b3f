"""What a model server's answer says of it, and what is not its answer at all."""

import msgspec
import pytest

from mlconsole.domain.services import Release
from mlconsole.engine.answers import Match, judge

REFUSAL = {"kind": "Status", "reason": "Forbidden", "message": 'cannot get resource "pods/proxy"', "code": 403}


@pytest.mark.parametrize(
    ("status", "body", "match", "words"),
    [
        (200, {"model_version": "v12"}, Match.SAME, "as v12"),
        (200, {"version": 13}, Match.OTHER, "as v13"),
        (200, {"status": "ok"}, Match.UNNAMED, "named no version"),
        (503, {"ready": False}, Match.FAILED, "answered 503"),
        (403, REFUSAL, Match.SILENT, 'does not allow it: cannot get resource "pods/proxy"'),
        (403, {"reason": "no token"}, Match.FAILED, "answered 403"),
        (403, {"reason": "Forbidden", "message": "the model's own gateway"}, Match.FAILED, "answered 403"),
        (403, ["no"], Match.FAILED, "answered 403"),
    ],
)
def test_an_answer_is_judged_and_a_refusal_of_the_api_server_is_none(status, body, match, words):
    found = judge(status, {}, msgspec.json.encode(body), Release("fraud", "12"))
    assert found.match is match
    assert words in found.words
