"""Models drawn instead of trained: for a world without a registry, in tests and where MLflow would take too long."""

from __future__ import annotations

import hashlib
import json
import math
import random
from pathlib import Path

FEATURES = {
    "fraud-scorer": ("amount", "hour", "distance_km", "merchant_risk", "velocity"),
    "churn": ("tenure", "spend", "tickets"),
    "ranker": ("price", "clicks", "age_days"),
    "eta": ("distance_km", "traffic", "rain"),
}
ROWS = 2000
"""What a reference is said to rest on: its shares are those of a law, not of rows."""
VERSIONS = {"fraud-scorer": ("11", "12", "13"), "churn": ("7", "8"), "ranker": ("3", "4"), "eta": ("4", "5")}


def write(folder: Path) -> dict[tuple[str, str], Path]:
    """Write every model into `folder`; the files by (model, version)."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = {}
    for model, versions in VERSIONS.items():
        for version in versions:
            path = folder / f"{model}-{version}.json"
            path.write_text(json.dumps(_model(model, version)))
            files[model, version] = path
    return files


def _model(model: str, version: str) -> dict[str, object]:
    seed = hashlib.sha256(f"{model}:{version}".encode()).hexdigest()
    drawn = random.Random(seed)
    features = FEATURES[model]
    mean = [round(drawn.uniform(5, 80), 2) for _ in features]
    scale = [round(drawn.uniform(1, 12), 2) for _ in features]
    grid = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)
    normal = [(1 + math.erf(z / math.sqrt(2))) / 2 for z in grid]
    return {
        "model": model,
        "version": version,
        "run_id": seed[:32],
        "git_sha": seed[24:64],
        "kind": "logistic",
        "features": list(features),
        "mean": mean,
        "scale": scale,
        "coef": [round(drawn.gauss(0, 1), 4) for _ in features],
        "intercept": round(drawn.gauss(0, 0.5), 4),
        "edges": {f: [round(m + s * z, 4) for z in grid] for f, m, s in zip(features, mean, scale, strict=True)},
        "reference_share": {f: [round(share, 6) for share in normal] for f in features},
        "reference_rows": dict.fromkeys(features, ROWS),
        "accuracy": round(drawn.uniform(0.86, 0.94), 4),
    }
