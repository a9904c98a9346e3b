"""Grafana's boards: they are found, and every panel asks for what workers have."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.files import ROOT, SERVICES, series, unknown

GRAFANA = ROOT / "deploy" / "grafana"
BOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
PANELS: list[dict[str, Any]] = [
    panel for board in BOARDS for panel in json.loads(board.read_text())["panels"]
]
ASKING = [panel for panel in PANELS if panel["type"] != "row"]


@pytest.mark.parametrize("panel", ASKING, ids=lambda panel: panel["title"])
def test_a_panel_asks_for_what_a_worker_has(panel: dict[str, Any]) -> None:
    """An empty panel would look like a quiet system."""
    expressions = [target["expr"] for target in panel["targets"]]
    assert expressions
    assert [name for expression in expressions for name in unknown(expression)] == []
    assert panel["description"]


def test_every_metric_of_a_worker_is_on_the_board() -> None:
    """A new metric gets its place."""
    asked = " ".join(target["expr"] for panel in ASKING for target in panel["targets"])
    families = {
        name.removesuffix("_bucket") for name in series() if not name.endswith(("_sum", "_count"))
    }
    assert [name for name in sorted(families) if name not in asked] == []


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.stem)
def test_panels_lie_beside_each_other_in_24_columns(board: Path) -> None:
    """Grafana would move those that overlap."""
    panels = json.loads(board.read_text())["panels"]
    for one, other in itertools.combinations((panel["gridPos"] for panel in panels), 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_every_panel_asks_the_source_that_is_provisioned() -> None:
    """By its fixed id, since a name may be another's."""
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    asked = {each["uid"] for board in BOARDS for each in _sources(json.loads(board.read_text()))}
    assert asked == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"


def test_the_board_is_where_grafana_looks() -> None:
    """The folder that is mounted is the one that provisioning names, and the first page is one of
    its boards.
    """
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/sentinel.yml").read_text())[
        "providers"
    ]
    folder = provider["options"]["path"]
    mounts = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    assert mounts["./deploy/grafana/dashboards"] == folder
    assert mounts["./deploy/grafana/provisioning"] == "/etc/grafana/provisioning"
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home in {f"{folder}/{board.name}" for board in BOARDS}


def _sources(value: object) -> Iterator[dict[str, str]]:
    if isinstance(value, dict):
        if isinstance(value.get("datasource"), dict):
            yield value["datasource"]
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _sources(each)
