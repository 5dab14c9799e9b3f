import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from mlconsole.domain.reference import Categorical, Numeric, Reference
from mlconsole.monitor import ModelMonitor

WHO = {"model": "fraud-scorer", "version": "13", "color": "green"}


class Page:
    """What a scrape says."""

    def __init__(self, text):
        self.text = text
        self.samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def all(self, name, **labels):
        return {
            tuple(sorted((k, v) for k, v in s.labels.items() if k not in WHO and k not in labels)): s.value
            for s in self.samples
            if s.name == name and labels.items() <= s.labels.items()
        }

    def value(self, name, **labels):
        """The one value of a metric with exactly these labels, 0 where there is none."""
        found = self.all(name, **labels)
        return found.get((), 0)

    def buckets(self, name, **labels):
        """Counts per bucket, not cumulative."""
        cumulative = self.all(f"{name}_bucket", **labels)
        ordered = [count for _, count in sorted(cumulative.items(), key=lambda item: float(dict(item[0])["le"]))]
        return [after - before for before, after in zip([0, *ordered], ordered, strict=False)]


def scrape(registry):
    return Page(generate_latest(registry).decode())


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def reference():
    return Reference(
        {
            "amount": Numeric((10.0, 50.0, 100.0), (10.0, 40.0, 40.0, 10.0), missing=25.0),
            "hour": Numeric((6.0, 12.0, 18.0), (5.0, 45.0, 45.0, 5.0)),
            "country": Categorical({"at": 60.0, "de": 30.0, "__other__": 10.0}),
        },
        Numeric((0.25, 0.5, 0.75), (40.0, 30.0, 20.0, 10.0)),
        rows=125,
    )


@pytest.fixture
def monitor(registry, reference):
    made = ModelMonitor("fraud-scorer", "13", color="green", reference=reference, registry=registry)
    yield made
    made.close()
