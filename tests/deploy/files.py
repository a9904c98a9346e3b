"""The files under test, read once for all, and the metrics that a worker really has."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.metrics import MetricWrapperBase

from streams import metrics

ROOT = Path(__file__).parents[2]
COMPOSE: Mapping[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: Mapping[str, Mapping[str, Any]] = COMPOSE["services"]
OURS = {
    name: service
    for name, service in SERVICES.items()
    if service["image"].startswith("llm-sentinel:")
}
"""The services that run `sentinel`."""

OPERATIONS = (ROOT / "docs" / "operations.md").read_text()

_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def series() -> Mapping[str, frozenset[str]]:
    """The labels of every series of ours, as Prometheus sees them, by name."""
    known: dict[str, frozenset[str]] = {}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            for suffix in _SUFFIXES[str(metric._type)]:
                bounds = {"le"} if suffix == "_bucket" else set()
                known[metric._name + suffix] = frozenset(
                    {*metric._labelnames, *bounds, "job", "instance"}
                )
    return known


def unknown(expression: str) -> Iterator[str]:
    """Names in an expression of PromQL that no worker of ours has: series, or labels that a series
    does not have.
    """
    known = series()
    for name, labels in re.findall(r"\b(sentinel_\w+)(?:\{([^}]*)\})?", expression):
        if name not in known:
            yield name
        else:
            yield from (
                f"{name}{{{each}}}"
                for each in set(re.findall(r"(\w+)\s*[=!]", labels)) - known[name]
            )
    labelled = frozenset().union(*known.values())
    for grouped in re.findall(r"\bby \(([^)]*)\)", expression):
        yield from (
            f"by ({each})" for each in {part.strip() for part in grouped.split(",")} - labelled
        )


def anchors(markdown: str) -> frozenset[str]:
    """What a link may point to: its headings, as they are made into anchors."""
    headings = re.findall(r"^#+ (.+)$", markdown, re.MULTILINE)
    return frozenset(
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings
    )
