"""Where traffic and alias disagree, and what is no disagreement."""

import pytest
from msgspec.structs import replace

from mlconsole.domain.registry import RegisteredModel
from mlconsole.domain.services import Color, ModelService, Release, Shape
from mlconsole.domain.split import split

BLUE = Color("blue", "m-blue", 1, 1, release=Release("fraud", "12"))
GREEN = Color("green", "m-green", 1, 1, release=Release("fraud", "13"))
SERVICE = ModelService("ml", "m", Shape.BLUE_GREEN, color_key="color", live="green", colors=(BLUE, GREEN))


def model(**aliases):
    return RegisteredModel("fraud", aliases=aliases)


@pytest.mark.parametrize(
    ("aliases", "alias", "words"),
    [
        ({"champion": "13"}, "champion", ""),
        ({"champion": "12"}, "champion", "traffic is on green v13, @champion names v12"),
        ({"champion": "12", "serving": "13"}, "serving", ""),
        ({}, "champion", "traffic is on green v13, @champion names no version"),
        ({}, "", ""),
        ({"challenger": "14"}, "", ""),
        ({"production": "12"}, "", "traffic is on green v13, @production names v12"),
        ({"champion": "13", "live": "9"}, "", "traffic is on green v13, @live names v9"),
    ],
)
def test_the_two_ledgers(aliases, alias, words):
    assert split(SERVICE, model(**aliases), alias) == words


def test_what_nobody_knows_is_no_split():
    wrong = model(champion="12")
    assert split(SERVICE, None, "champion") == ""
    assert split(replace(SERVICE, shape=Shape.BOTH, live=""), wrong, "champion") == ""
    nameless = replace(GREEN, release=Release("fraud"))
    assert split(replace(SERVICE, colors=(BLUE, nameless)), wrong, "champion") == ""
    other = replace(GREEN, release=Release("churn", "13"))
    assert split(replace(SERVICE, colors=(BLUE, other)), wrong, "champion") == ""


def test_a_version_is_the_same_with_its_letter_and_without():
    green = replace(GREEN, release=Release("fraud", "v13"))
    assert split(replace(SERVICE, colors=(BLUE, green)), model(champion="13"), "champion") == ""


def test_a_plain_service_has_a_version_too():
    plain = replace(SERVICE, shape=Shape.PLAIN, live="", colors=(replace(BLUE, name=""),))
    assert split(plain, model(champion="13"), "champion") == "traffic is on m-blue v12, @champion names v13"


def test_what_the_registry_said_before_it_went_away_stays_said():
    words = split(SERVICE, model(champion="12"), "champion", "no answer for 40 s")
    assert words.endswith("names v12 when the registry last answered")
