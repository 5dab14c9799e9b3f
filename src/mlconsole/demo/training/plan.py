"""What is trained: the models, their features as the live load draws them, and what the truth behind them is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """One registered model. Features are normal; the label is a logistic draw on their standard scores."""

    name: str
    description: str
    features: dict[str, tuple[float, float]]
    """Mean and scale by feature."""
    truth: tuple[float, ...]
    """Weights of the standard scores; the last one is the bias."""
    versions: int
    champion: int
    users: tuple[str, ...]
    challenger: int = 0
    """0 for none."""


PLANS = (
    Plan(
        "fraud-scorer",
        "Scores card payments as they happen; a payment over 0.5 is held for a person to look at.",
        {
            "amount": (84.0, 21.0),
            "hour": (13.2, 3.1),
            "distance_km": (31.0, 8.5),
            "merchant_risk": (0.42, 0.11),
            "velocity": (5.6, 1.4),
        },
        (2.1, -0.7, 1.6, 2.4, 1.3, -1.1),
        versions=14,
        champion=13,
        users=("ci-train", "ci-nightly"),
        challenger=14,
    ),
    Plan(
        "churn",
        "Whether a customer leaves within a month.",
        {"tenure": (26.0, 7.5), "spend": (48.0, 12.0), "tickets": (3.4, 0.9)},
        (-2.2, -1.1, 1.9, -0.4),
        versions=8,
        champion=8,
        users=("ci-nightly", "ci-train"),
    ),
    Plan(
        "ranker",
        "Whether an offer is clicked: the order of the search results.",
        {"price": (39.0, 9.0), "clicks": (22.0, 6.0), "age_days": (41.0, 11.0)},
        (-1.4, 2.6, -0.9, 0.2),
        versions=4,
        champion=4,
        users=("tomas",),
    ),
    Plan(
        "eta",
        "Whether a delivery comes later than it was promised.",
        {"distance_km": (12.0, 3.0), "traffic": (0.55, 0.13), "rain": (2.1, 0.6)},
        (1.8, 2.3, 0.8, -0.3),
        versions=5,
        champion=5,
        users=("ci-train", "ci-retrain"),
    ),
)


def total() -> int:
    """How many versions are trained in all."""
    return sum(plan.versions for plan in PLANS)
