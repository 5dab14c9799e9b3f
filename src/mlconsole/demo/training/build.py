"""Trains the demo's models into a folder: `python -m mlconsole.demo.training.build FOLDER PARENT`.

Later versions see more data and are regularised less, which makes them better, or not, by a real measure on the same
test rows. Prints a line for every version.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import sys
from pathlib import Path
from typing import Any

from mlconsole.demo.node.zygote import die_with_parent
from mlconsole.demo.training import ARTIFACTS, DATABASE, INDEX
from mlconsole.demo.training.plan import PLANS, Plan
from mlconsole.domain.reference import Numeric, Reference
from mlconsole.monitor.reference import from_frame, log_reference

TEST_ROWS = 20000
BINS = 10
"""Of the features' and the predictions' histograms: a page of figures is read every few seconds."""
DIGEST_TAG = "mlconsole.io/image-digest"


def main() -> None:
    """Train everything."""
    folder, parent = Path(sys.argv[1]), int(sys.argv[2])
    die_with_parent(parent)
    os.environ.update(
        MLFLOW_DISABLE_TELEMETRY="true",
        MLFLOW_LOGGING_LEVEL="ERROR",
        MLFLOW_TRACKING_URI=f"sqlite:///{folder / DATABASE}",
        MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING="false",
        GIT_PYTHON_REFRESH="quiet",
        OMP_NUM_THREADS="1",
    )
    (folder / "models").mkdir()
    index: dict[str, Any] = {"root": str(folder), "models": []}
    for plan in PLANS:
        for version, file, words in _train_model(plan, folder):
            index["models"].append([plan.name, version, file])
            sys.stdout.write(f"{plan.name} v{version} {words}\n")
            sys.stdout.flush()
    (folder / INDEX).write_text(json.dumps(index))


def _train_model(plan: Plan, folder: Path) -> Any:
    """Train the versions of a model one after the other: (version, file, words) of each."""
    from mlflow import MlflowClient

    client = MlflowClient()
    experiment = client.create_experiment(plan.name, artifact_location=str(folder / ARTIFACTS / plan.name))
    client.create_registered_model(plan.name, description=plan.description, tags={"team": f"{plan.name}-team"})
    test = _rows(plan, 0, TEST_ROWS)
    for number in range(1, plan.versions + 1):
        trained = Training(plan, number, test)
        path = folder / "models" / f"{plan.name}-{number}.json"
        trained.log(client, experiment, path)
        yield str(number), str(path.relative_to(folder)), f"f1 {trained.metrics['f1']:.3f}"
    client.set_registered_model_alias(plan.name, "champion", str(plan.champion))
    if plan.challenger:
        client.set_registered_model_alias(plan.name, "challenger", str(plan.challenger))


class Training:
    """One version: the data, the fitted model, its figures."""

    def __init__(self, plan: Plan, number: int, test: Any) -> None:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self._plan, self._number = plan, number
        strength = 10 ** (2.2 * number / plan.versions - 3)
        self.params: dict[str, Any] = {"C": round(strength, 5), "rows": 300 + 150 * number, "solver": "lbfgs"}
        self._rows, labels = _rows(plan, number, self.params["rows"])
        self._model = make_pipeline(StandardScaler(), LogisticRegression(C=self.params["C"]))
        self._model.fit(self._rows, labels)
        self.metrics = _metrics(self._model, *test)
        self._reference = from_frame(
            self._rows,
            self._model.predict_proba(self._rows)[:, 1],
            bins=BINS,
            source=f"the {len(self._rows)} rows that {plan.name} v{number} was trained on",
        )
        self._git_sha = hashlib.sha1(f"{plan.name}:{number}".encode()).hexdigest()

    def log(self, client: Any, experiment: str, path: Path) -> None:
        """Log the run, register the model, write the file that is served, and tag the version with its digest."""
        import mlflow
        from mlflow.models import infer_signature

        plan, number = self._plan, self._number
        tags = {
            "mlflow.user": plan.users[number % len(plan.users)],
            "mlflow.source.name": f"pipelines/{plan.name}/train.py",
            "mlflow.source.git.commit": self._git_sha,
            "dataset": f"drawn, seed {number}",
        }
        with mlflow.start_run(experiment_id=experiment, run_name=f"train-{plan.name}-{number}", tags=tags) as run:
            mlflow.log_params(self.params)
            info = mlflow.sklearn.log_model(
                self._model,
                name="model",
                # What is served is the probability, not the class.
                signature=infer_signature(self._rows, self._model.predict_proba(self._rows)[:, 1]),
                input_example=self._rows.head(3),
                pip_requirements=["scikit-learn"],
                registered_model_name=plan.name,
            )
            mlflow.log_metrics(self.metrics)
            log_reference(self._reference, run.info.run_id)
        if str(info.registered_model_version) != str(number):
            raise RuntimeError(f"MLflow numbered {plan.name} {info.registered_model_version} instead of {number}")
        content = json.dumps(self._served(run.info.run_id)).encode()
        path.write_bytes(content)
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        client.set_model_version_tag(plan.name, str(number), DIGEST_TAG, digest)
        client.update_model_version(plan.name, str(number), f"{self.params['rows']} rows, C {self.params['C']:g}")

    def _served(self, run_id: str) -> dict[str, Any]:
        """The model as the demo's model server reads it."""
        scaler, logistic = (step for _, step in self._model.steps)
        features = list(self._plan.features)
        return {
            "model": self._plan.name,
            "version": str(self._number),
            "run_id": run_id,
            "git_sha": self._git_sha,
            "kind": "logistic",
            "features": features,
            "mean": scaler.mean_.tolist(),
            "scale": scaler.scale_.tolist(),
            "coef": logistic.coef_[0].tolist(),
            "intercept": float(logistic.intercept_[0]),
            "accuracy": self.metrics["accuracy"],
            **_served_reference(self._reference),
        }


def _served_reference(reference: Reference) -> dict[str, Any]:
    """The reference as the model server tells it."""
    features = {name: one for name, one in reference.features.items() if isinstance(one, Numeric)}
    found: dict[str, Any] = {
        "edges": {name: one.edges for name, one in features.items()},
        "reference_share": {name: _cumulative(one) for name, one in features.items()},
        "reference_rows": {name: one.n + one.missing for name, one in features.items()},
    }
    if isinstance(reference.prediction, Numeric):
        found |= {
            "prediction_edges": reference.prediction.edges,
            "prediction_share": _cumulative(reference.prediction),
        }
    return found


def _cumulative(one: Numeric) -> list[float]:
    return [count / one.n for count in itertools.accumulate(one.counts[:-1])]


def _rows(plan: Plan, seed: int, count: int) -> tuple[Any, Any]:
    """Features and labels, drawn; the same for the same seed."""
    import numpy as np
    import pandas as pd

    start = int(hashlib.sha256(f"{plan.name}:{seed}".encode()).hexdigest()[:8], 16)
    drawn = np.random.default_rng(start)
    scores = drawn.normal(size=(count, len(plan.features)))
    *weights, bias = plan.truth
    chance = 1 / (1 + np.exp(-1.6 * (scores @ np.array(weights) + bias)))
    labels = (drawn.uniform(size=count) < chance).astype(int)
    columns = {name: mean + scale * scores[:, at] for at, (name, (mean, scale)) in enumerate(plan.features.items())}
    return pd.DataFrame(columns), labels


def _metrics(model: Any, rows: Any, labels: Any) -> dict[str, float]:
    from sklearn import metrics

    chance = model.predict_proba(rows)[:, 1]
    said = chance > 0.5
    return {
        "accuracy": float(metrics.accuracy_score(labels, said)),
        "auc": float(metrics.roc_auc_score(labels, chance)),
        "f1": float(metrics.f1_score(labels, said)),
        "log_loss": float(metrics.log_loss(labels, chance)),
        "precision": float(metrics.precision_score(labels, said)),
        "recall": float(metrics.recall_score(labels, said)),
    }


if __name__ == "__main__":
    main()
