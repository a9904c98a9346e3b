"""A worker's own numbers, from its `/metrics`."""

import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Scrape:
    """Samples of one look, but for the buckets of histograms."""

    samples: Sequence[Sample]
    totals: Mapping[str, float]
    """By full name, summed over their labels."""

    def __getitem__(self, name: str) -> float:
        """The total; 0.0 for a counter that nobody has touched yet."""
        return self.totals.get(name, 0.0)

    def total(self, name: str, **labels: object) -> float:
        """Sum of the samples of this name that have these labels."""
        wanted = {key: str(value) for key, value in labels.items()}.items()
        return sum(
            sample.value
            for sample in self.samples
            if sample.name == name and wanted <= sample.labels.items()
        )

    def by(self, label: str, name: str) -> Mapping[str, float]:
        """The samples of this name by one of their labels."""
        return {each.labels[label]: each.value for each in self.samples if each.name == name}


def parsed(text: str) -> Scrape:
    """Metrics in Prometheus's text format."""
    samples = [
        sample
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if "le" not in sample.labels
    ]
    totals: dict[str, float] = defaultdict(float)
    for sample in samples:
        totals[sample.name] += sample.value
    return Scrape(samples, totals)


def scrape(port: int) -> Scrape | None:
    """What the worker on that port says now; None while nobody answers there."""
    text = _get(port, "/metrics")
    return None if text is None else parsed(text)


def is_ready(port: int) -> bool:
    """Whether the worker on that port is recovered and assigned."""
    return _get(port, "/ready") is not None


def _get(port: int, path: str) -> str | None:
    """The body of a good answer; None for any other, and for none."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=_TIMEOUT_S) as answer:
            body: bytes = answer.read()
    except (OSError, urllib.error.URLError):
        return None
    return body.decode()
