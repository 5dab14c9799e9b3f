"""The commands of docs/operations.md, as they stand there: what it says is done by hand is done so by a test."""

import asyncio
import os
import re
from pathlib import Path

import yaml

DOCUMENT = Path(__file__).parents[2] / "docs" / "operations.md"
CHAPTERS = ("By hand", "Recover by hand")
NOT_A_PIPE = "set -euo pipefail\n"
SECONDS = 200.0


def recipes():
    """Heading to command, of every fenced block in the chapters that are done by hand."""
    found, chapter, heading = {}, "", ""
    for match in re.finditer(r"^## ([^\n]*)$|^### ([^\n]*)$|^```sh\n(.*?)^```$", DOCUMENT.read_text(), re.M | re.S):
        if match[1]:
            chapter = heading = match[1]
        elif match[2]:
            heading = match[2]
        elif chapter in CHAPTERS:
            assert heading not in found, f"two blocks under {heading}"
            found[heading] = match[3]
    return found


class Hand:
    """Somebody with a shell, kubectl and the document."""

    def __init__(self, service, image):
        self._service = service
        self._recipes = recipes()
        self._names = {
            "--namespace=ml": f"--namespace={service.namespace}",
            "/namespaces/ml/": f"/namespaces/{service.namespace}/",
            "registry.example/fraud-scorer:14": image,
        }
        self.done = set()
        self._kubeconfig = service.folder / "by-hand"
        with open(service.kubeconfig) as file:
            self._kubeconfig.write_text(yaml.safe_dump(yaml.safe_load(file)))

    async def follow(self, heading):
        """Run what stands under a heading, with the names filled in: what it printed."""
        text = self._recipes[heading]
        for old, new in self._names.items():
            text = text.replace(old, new)
        code, out, err = await self._run(text)
        assert code == 0, (heading, text, out, err)
        self.done.add(heading)
        return out

    async def fails(self, heading):
        """Run it, where it must not go: what it said."""
        code, out, err = await self._run(self._recipes[heading])
        assert code != 0, (heading, out)
        return err

    async def _run(self, text):
        environ = {**os.environ, "KUBECONFIG": str(self._kubeconfig)}
        shell = await asyncio.create_subprocess_exec(
            *("bash", "-c", NOT_A_PIPE + text),
            env=environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(SECONDS):
            out, err = await shell.communicate()
        return shell.returncode, out.decode(), err.decode()
