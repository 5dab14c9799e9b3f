"""kubectl itself can list, describe, scale and edit in the embedded world."""

import asyncio
import json
import os
import shutil

import pytest

from mlconsole.demo.world import Options, World

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")


async def kubectl(world, *arguments, editor="true"):
    command = ("kubectl", "--kubeconfig", str(world.folder / "kubeconfig"), *arguments)
    pipe = asyncio.subprocess.PIPE
    environ = {**os.environ, "KUBE_EDITOR": editor}
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=environ)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    return out.decode()


async def test_kubectl_lists_describes_scales_edits_and_reads_logs():
    world = World()
    try:
        await world.start(Options(registry=False, load=False))
        assert "fraud-scorer-green" in await kubectl(world, "get", "deployments")
        assert "Started container" in await kubectl(world, "describe", "pod", "-l", "app=eta")
        await kubectl(world, "scale", "deployment", "eta", "--replicas=2")
        await kubectl(world, "rollout", "status", "deployment/eta", "--timeout=50s")
        editor = "sed -i 's/^  replicas: 1$/  replicas: 2/'"
        await kubectl(world, "edit", "deployment", "ranker-green", editor=editor)
        edited = json.loads(await kubectl(world, "get", "deployment", "ranker-green", "-o", "json"))
        assert edited["spec"]["replicas"] == 2
        await kubectl(world, "patch", "service", "churn", "-p", '{"spec":{"selector":{"slot":"green"}}}')
        found = json.loads(await kubectl(world, "get", "service", "churn", "-o", "json"))
        assert found["spec"]["selector"]["slot"] == "green"
        assert '"event": "start"' in await kubectl(world, "logs", "deployment/eta")
    finally:
        await world.stop()
