"""Where the payloads come from that a release is tried with: the settings, a file, the registry's input example."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from mlconsole.config import ServiceSettings
from mlconsole.domain.registry import Field
from mlconsole.domain.text import visible
from mlconsole.engine.offload import Offload, WorkerError
from mlconsole.registry.datasets import read_dataset
from mlconsole.registry.errors import RegistryError
from mlconsole.registry.examples import Example, read_example

BYTES = 8 << 20
"""Of a file of payloads, at most."""
FILE_SECONDS = 10.0
REGISTRY_SECONDS = 20.0


class Payloads(Struct, frozen=True):
    """What is posted, where it is from, and what the answers have to be."""

    rows: tuple[Any, ...] = ()
    where: str = ""
    problem: str = ""
    """Why there are none, and what to do."""
    outputs: tuple[Field, ...] = ()
    """Of the version's signature."""


async def payloads_for(
    offload: Offload, settings: ServiceSettings, registry_uri: str | None, model: str, version: str, n: int
) -> Payloads:
    """The payloads of the smoke test, `n` at most: `payload_file`, else `payload`, else the version's input example."""
    example = await _example(offload, registry_uri, model, version, n)
    if settings.smoke.payload_file is not None:
        found = await _from_file(settings.smoke.payload_file, n, lines=False)
        return replace(found, outputs=example.outputs)
    if settings.smoke.payload is not None:
        return Payloads((settings.smoke.payload,), "smoke.payload in mlconsole.toml", outputs=example.outputs)
    return _of(example, "smoke.payload")


async def parity_payloads_for(
    offload: Offload, settings: ServiceSettings, registry_uri: str | None, model: str, version: str
) -> Payloads:
    """The payloads of the parity test: of the `payloads` file, else of the dataset, else of the input example."""
    count = settings.parity.count
    if settings.parity.payloads is not None:
        return await _from_file(settings.parity.payloads, count, lines=True)
    if settings.parity.dataset is not None and registry_uri:
        return await _from_dataset(offload, registry_uri, model, version, settings.parity.dataset, count)
    return _of(await _example(offload, registry_uri, model, version, count), "parity.payloads")


async def _example(offload: Offload, uri: str | None, model: str, version: str, n: int) -> Example:
    if not uri:
        return Example(problem="no registry is configured")
    if not model or not version:
        return Example(problem="the release names no model and version of the registry")
    try:
        return await offload.lane("mlflow").run(read_example, uri, model, version, n, timeout=REGISTRY_SECONDS)
    except (RegistryError, WorkerError, TimeoutError) as error:
        return Example(problem=visible(str(error), 300))


async def _from_dataset(offload: Offload, uri: str, model: str, version: str, name: str, n: int) -> Payloads:
    lane = offload.lane("mlflow")
    try:
        found = await lane.run(read_dataset, uri, model, version, name, n, timeout=REGISTRY_SECONDS)
    except (RegistryError, WorkerError, TimeoutError) as error:
        return Payloads(problem=visible(str(error) or "the registry did not answer in time", 300))
    return Payloads(found.payloads, found.where, found.problem)


def _of(example: Example, key: str) -> Payloads:
    problem = f"{example.problem}: log the version with an input example, or set {key}" if example.problem else ""
    return Payloads(example.payloads, example.where, problem, example.outputs)


async def _from_file(name: str, n: int, lines: bool) -> Payloads:
    try:
        async with asyncio.timeout(FILE_SECONDS):
            content = await asyncio.to_thread(_content, name)
        texts = [line for line in content.splitlines() if line.strip()][:n] if lines else [content]
        rows = tuple(msgspec.json.decode(text) for text in texts)
    except TimeoutError:
        return Payloads(problem=f"{visible(name)} cannot be read: no answer in {FILE_SECONDS:.0f} s")
    except (OSError, ValueError, RuntimeError) as error:
        return Payloads(problem=f"{visible(name)} cannot be read: {visible(str(error), 200)}")
    return Payloads(rows, visible(name), "" if rows else f"{visible(name)} has no payloads")


def _content(name: str) -> bytes:
    with Path(name).expanduser().open("rb") as stream:
        content = stream.read(BYTES + 1)
    if len(content) > BYTES:
        raise ValueError(f"it is larger than {BYTES >> 20} MiB")
    return content
