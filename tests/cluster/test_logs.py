"""The newest lines of a log are there, however long those before them are."""

import pytest

from mlconsole.cluster import logs
from mlconsole.cluster.errors import NotFound


class Kubelet:
    """Answers as a kubelet does: `limitBytes` cuts the end of what `tailLines` begins."""

    def __init__(self, *lines):
        self._lines = [f"{line}\n".encode() for line in lines]
        self.asked = []

    async def get(self, path, params):
        self.asked.append((path, params["tailLines"]))
        return b"".join(self._lines[-params["tailLines"] :])[: params["limitBytes"]]


async def test_a_log_that_fits_is_asked_for_once():
    kubelet = Kubelet("one", "two")
    assert await logs.tail(kubelet, "ml", "fraud-0") == "one\ntwo\n"
    assert kubelet.asked == [("/api/v1/namespaces/ml/pods/fraud-0/log", logs.LINES)]


@pytest.mark.parametrize("long", [3, 30, 300])
async def test_of_a_log_that_does_not_fit_the_end_is_kept(long):
    """Traces of 64 kB each, then short lines: the last of these is why anybody looks."""
    traces = ["x" * 64 * 1024] * long
    newest = [f"line {number}" for number in range(400)]
    text = await logs.tail(Kubelet(*traces * 4, *newest), "ml", "fraud-0")
    first, *rest = text.splitlines()
    assert first == "… earlier lines are not shown: they are too long"
    assert rest[-1] == "line 399"
    assert len(text) < logs.BYTES + 100


async def test_of_one_line_that_does_not_fit_the_beginning_is_shown():
    text = await logs.tail(Kubelet("short", "x" * 2 * logs.BYTES), "ml", "fraud-0")
    assert text.splitlines()[1] == "x" * logs.BYTES


async def test_what_a_kubelet_says_in_the_place_of_a_log_is_no_log():
    """It answers 200, and in one line, where the container has been removed."""
    gone = "unable to retrieve container logs for containerd://6625cbe5"
    with pytest.raises(NotFound, match="gone already"):
        await logs.tail(Kubelet(gone), "ml", "fraud-0", previous=True)
    assert await logs.tail(Kubelet(gone, "and more"), "ml", "fraud-0") == f"{gone}\nand more\n"
