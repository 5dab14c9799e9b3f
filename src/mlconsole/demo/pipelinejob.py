"""A step of a pipeline as a real command: it checks the reference of a model and says what it found."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path


def main(env: Mapping[str, str]) -> int:
    """Check the model at MODEL_PATH (STEP names the step); 0 when its reference is sound, 1 when not."""
    step = env.get("STEP", "validate")
    try:
        model = json.loads(Path(env["MODEL_PATH"]).read_text())
        problems = check(model)
    except (OSError, ValueError, KeyError) as error:
        problems = [f"{type(error).__name__}: {error}"]
        model = {}
    time.sleep(float(env.get("SECONDS") or 0.2))
    if env.get("STEP_FAILS"):
        problems.append(env["STEP_FAILS"])
    for problem in problems:
        sys.stdout.write(f"{step}: FAIL {problem}\n")
    if not problems:
        name, version = model.get("model"), model.get("version")
        sys.stdout.write(f"{step}: {name} v{version}: {len(model['features'])} features checked\n")
    return 1 if problems else 0


def check(model: dict[str, object]) -> list[str]:
    """What is wrong with the reference: edges that do not rise, shares that fall or leave 0..1."""
    problems = []
    edges, shares = model.get("edges"), model.get("reference_share")
    if not isinstance(edges, dict) or not isinstance(shares, dict):
        return ["it has no reference"]
    for feature, values in edges.items():
        share = shares.get(feature, [])
        if any(b <= a for a, b in pairwise(values)):
            problems.append(f"{feature}: the edges do not rise")
        if any(b < a for a, b in pairwise(share)) or not all(0 <= x <= 1 for x in share):
            problems.append(f"{feature}: the shares are no distribution")
    return problems
