"""A worker's own numbers, from its `/metrics`."""

import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Scrape:
    """Samples by full name, summed over their labels."""

    totals: Mapping[str, float]

    def __getitem__(self, name: str) -> float:
        """0.0 for a counter that nobody has touched yet."""
        return self.totals.get(name, 0.0)


def scrape(port: int) -> Scrape | None:
    """What the worker on that port says now; None while nobody answers there."""
    text = _get(port, "/metrics")
    if text is None:
        return None
    totals: dict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if "le" not in sample.labels:
                totals[sample.name] += sample.value
    return Scrape(totals)


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
