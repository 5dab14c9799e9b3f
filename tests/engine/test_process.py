"""The engine as a process: what breaks it is in the log file."""

from mlconsole.engine.spawn import spawn

from .conftest import clusters


async def test_an_engine_that_ends_over_its_own_error_says_so_in_the_log(tmp_path):
    log = tmp_path / "state" / "mlconsole.log"
    process = spawn({"config": ["password=hunter2222"]}, log)
    try:
        code = await clusters.until(lambda: process.poll(), 20.0)
    finally:
        process.stop()
    assert code == 1
    written = log.read_text()
    assert "engine pid" in written
    assert "the engine ended over an error of its own\nTraceback (most recent call last):\n  File" in written
    assert "hunter2222" not in written
