"""The registry pane with versions that were validated, in a small terminal and in the usual one."""

import time

import pytest
from msgspec.structs import replace

from mlconsole.domain.plans import Verdict
from mlconsole.domain.registry import ModelVersion, RegisteredModel, Run
from mlconsole.domain.sources import Condition, SourceState
from mlconsole.domain.validated import TAG, Stamp, encode
from mlconsole.engine import protocol
from ui.facts import facts


def version(number, f1, stamp=None, alias=()):
    tags = {TAG: stamp if isinstance(stamp, str) else encode(stamp)} if stamp else {}
    run = Run(f"r{number}", metrics={"f1": f1, "validation.f1": f1}, git_sha=f"{number}" * 20, user="train")
    return ModelVersion("fraud", str(number), alias, created_at=time.time() - 90_000, tags=tags, run=run)


def model():
    hour = time.time() - 5000
    return RegisteredModel(
        "fraud",
        versions=(
            version(14, 0.917, Stamp(Verdict.PASS, hour * 1, "v13", "6 checks passed"), ("challenger",)),
            version(13, 0.913, Stamp(Verdict.UNKNOWN, hour - 7200, "v12", "f1: needs 100 rows"), ("champion",)),
            version(12, 0.902, Stamp(Verdict.FAIL, hour - 90_000, "v11", "f1: 0.030 worse; beyond doubt")),
            version(11, 0.9, '{"verdict": "SPLENDID"}'),
        ),
    )


async def shown(driver):
    await driver.filled()
    driver.told(*facts()[:2])
    await driver.selected("ml/fraud")
    driver.told(protocol.Sources((SourceState("mlflow", Condition.LIVE, time.time(), time.time()),)))
    driver.told(facts()[2], protocol.Registry("ml/fraud", model()))


@pytest.mark.parametrize("size", [(120, 40), (200, 60)])
async def test_a_line_says_what_the_last_validation_said(silent, size):
    async with silent(size=size) as driver:
        await shown(driver)
        text = await driver.until("v14", "✔ PASS", "? UNKNOWN", "✖ FAIL", "@champion", "● green")
        assert "SPLENDID" not in text


async def test_in_80_columns_the_verdict_is_still_there(silent):
    async with silent(size=(80, 24)) as driver:
        await shown(driver)
        await driver.press("3")
        await driver.until("v14", "✔ PASS", "1h vs v13", "✖ FAIL")


async def test_a_versions_page_says_why(silent):
    async with silent(size=(120, 40)) as driver:
        await shown(driver)
        await driver.until("✔ PASS")
        await driver.press("3", "enter")
        await driver.until("validated", "PASS 1h ago vs v13: 6 checks passed")


async def test_what_comes_after_is_shown(silent):
    async with silent(size=(120, 40)) as driver:
        await shown(driver)
        await driver.until("✔ PASS")
        first, *rest = model().versions
        failed = replace(first, tags={TAG: encode(Stamp(Verdict.FAIL, time.time(), "v13", "worse"))})
        driver.told(protocol.Registry("ml/fraud", replace(model(), versions=(failed, *rest))))
        await driver.until("v14", gone=("✔ PASS",))
