"""The images that the node has: `demo.local/MODEL:VERSION` serves a model, `demo.local/pipeline:...` checks one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REGISTRY = "demo.local"


@dataclass(frozen=True)
class Image:
    """What an image runs, and the digest of its content."""

    main: str
    model: Path
    digest: str


class Images:
    """Images by reference."""

    def __init__(self, models: Mapping[tuple[str, str], Path]) -> None:
        """`models` maps (model, version) to the model's file."""
        self._images: dict[str, Image] = {}
        for (model, version), path in models.items():
            digest = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
            self._images[f"{REGISTRY}/{model}:{version}"] = Image("model", path, digest)
            self._images[f"{REGISTRY}/pipeline:{model}-{version}"] = Image("pipeline", path, digest)

    def find(self, reference: str) -> Image | None:
        """The image of a reference by tag, by digest or both; None for one that is not here."""
        name, _, digest = reference.partition("@")
        found = self._images.get(name)
        if digest:
            if found is None:
                found = next(
                    (
                        image
                        for tag, image in self._images.items()
                        if tag.startswith(name + ":") and image.digest == digest
                    ),
                    None,
                )
            return found if found and found.digest == digest else None
        return found
