"""Kibana's objects: every reference resolves, every field exists, and each panel's search finds
what it is about on a real Elasticsearch.
"""

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from connectors.store.elasticsearch.store import ElasticStore
from connectors.store.elasticsearch.templates import template, template_name
from connectors.store.settings import StoreKind, StoreSettings
from schemas.documents import Document, Kind, document
from schemas.records.anomalies import Severity
from schemas.records.incidents import IncidentState
from tests.deploy.files import ROOT
from tests.harness.store_documents import START, aggregate, anomaly, incident

OBJECTS: list[dict[str, Any]] = [
    json.loads(line) for line in (ROOT / "deploy/kibana/overview.ndjson").read_text().splitlines()
]
VIEWS = {each["id"]: each["attributes"] for each in OBJECTS if each["type"] == "index-pattern"}
(BOARD,) = (each for each in OBJECTS if each["type"] == "dashboard")
CONTROLS: dict[str, dict[str, Any]] = json.loads(
    BOARD["attributes"]["controlGroupInput"]["panelsJSON"]
)
NUMBERS = {"integer", "long", "double"}
TYPES = {
    "terms": {"keyword"},
    "date_histogram": {"date_nanos"},
    "max": {"date_nanos", *NUMBERS},
    "average": NUMBERS,
    "sum": NUMBERS,
}
"""Field types over which an operation can run."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One Lens panel: its view's pattern, its columns in order, and its query."""

    title: str
    pattern: str
    columns: Mapping[str, Mapping[str, Any]]
    query: str

    @classmethod
    def of(cls, lens: Mapping[str, Any]) -> "Panel":
        """From a saved object."""
        state = lens["attributes"]["state"]
        (layer,) = state["datasourceStates"]["formBased"]["layers"].values()
        assert set(layer["columnOrder"]) == set(layer["columns"])
        (reference,) = lens["references"]
        return cls(
            lens["attributes"]["title"],
            VIEWS[reference["id"]]["title"],
            {name: layer["columns"][name] for name in layer["columnOrder"]},
            state["query"]["query"],
        )

    def kind(self) -> Kind:
        """Of the documents that it is about."""
        return next(kind for kind in Kind if self.pattern == f"sentinel-{kind}-*")

    def search(self) -> dict[str, Any]:
        """What Lens asks: buckets within each other, metrics within the innermost; without metrics
        of its own, hits are counted.
        """
        aggregations: dict[str, Any] = {}
        for name, column in reversed(list(self.columns.items())):
            if column["operationType"] == "count":
                continue
            own = _aggregation(column, self.columns)
            if column["isBucketed"]:
                inner = {**own.get("aggs", {}), **aggregations}
                aggregations = {name: {**own, "aggs": inner} if inner else own}
            else:
                aggregations = {**aggregations, name: own}
        query: dict[str, Any] = {"match_all": {}}
        if self.query:
            field, value = self.query.split(" : ")
            query = {"term": {field: value}}
        return {"size": 0, "track_total_hits": True, "query": query, "aggs": aggregations}


def _aggregation(
    column: Mapping[str, Any], columns: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    match column["operationType"]:
        case "terms":
            by = column["params"]["orderBy"]["columnId"]
            order = {
                "_count" if columns[by]["operationType"] == "count" else "by": column["params"][
                    "orderDirection"
                ]
            }
            asked: dict[str, Any] = {
                "terms": {
                    "field": column["sourceField"],
                    "size": column["params"]["size"],
                    "order": order,
                }
            }
            return (
                asked
                if "_count" in order
                else {**asked, "aggs": {"by": _aggregation(columns[by], columns)}}
            )
        case "date_histogram":
            return {"date_histogram": {"field": column["sourceField"], "fixed_interval": "1m"}}
        case "average":
            return {"avg": {"field": column["sourceField"]}}
        case operation:
            return {operation: {"field": column["sourceField"]}}


PANELS = [Panel.of(each) for each in OBJECTS if each["type"] == "lens"]
each_panel = pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)


def test_references_resolve() -> None:
    """Every object that is referred to is in the file, once; the board shows each panel where the
    grid has place.
    """
    known = [(each["type"], each["id"]) for each in OBJECTS]
    assert len(set(known)) == len(known)
    assert {(ref["type"], ref["id"]) for each in OBJECTS for ref in each["references"]} <= set(
        known
    )
    panels = json.loads(BOARD["attributes"]["panelsJSON"])
    names = {f"{panel['panelIndex']}:{panel['panelRefName']}" for panel in panels}
    controls = {f"controlGroup_{name}:optionsListDataView" for name in CONTROLS}
    assert names | controls == {reference["name"] for reference in BOARD["references"]}
    assert len(panels) == len(PANELS)
    taken = [
        (panel["gridData"]["x"] + x, panel["gridData"]["y"] + y)
        for panel in panels
        for x in range(panel["gridData"]["w"])
        for y in range(panel["gridData"]["h"])
    ]
    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) < 48


def test_controls_choose_by_fields_that_there_are() -> None:
    """Tenant, application and model, in this order; of the aggregates, which have all three."""
    made: Any = template("sentinel-", Kind.AGGREGATE, 0)
    fields = made["template"]["mappings"]["properties"]
    chosen = [
        each["explicitInput"]["fieldName"]
        for each in sorted(CONTROLS.values(), key=lambda one: one["order"])
    ]
    assert chosen == ["tenant", "application", "model"]
    assert {fields[name]["type"] for name in chosen} == {"keyword"}


def test_what_is_open_does_not_depend_on_the_time_range() -> None:
    """Its view has no time field: an incident that opened before the range is open all the same,
    and the list links to the page.
    """
    about_open = [each for each in OBJECTS if each["type"] == "lens" and "open" in each["id"]]
    assert len(about_open) == 2
    for lens in about_open:
        view = VIEWS[lens["references"][0]["id"]]
        assert "timeFieldName" not in view
        assert (
            "/incidents/{{rawValue}}"
            in json.loads(view["fieldFormatMap"])["page_path"]["params"]["urlTemplate"]
        )
    assert any("page_path" in str(lens["attributes"]["state"]) for lens in about_open)


def test_columns_are_shown() -> None:
    """What a visualization names is a column of its layer."""
    for lens in (each for each in OBJECTS if each["type"] == "lens"):
        state = lens["attributes"]["state"]
        shown = set(_accessors(state["visualization"]))
        (layer,) = state["datasourceStates"]["formBased"]["layers"].values()
        assert shown == set(layer["columns"])


def _accessors(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            if key in ("xAccessor", "splitAccessor", "metricAccessor", "columnId"):
                yield each
            elif key == "accessors":
                yield from each
            else:
                yield from _accessors(each)
    elif isinstance(value, list):
        for each in value:
            yield from _accessors(each)


@each_panel
def test_fields_exist_and_fit_what_is_done_with_them(panel: Panel) -> None:
    """By the index templates that the store makes: terms over keywords, times over dates, the
    highest of numbers.
    """
    made: Any = template("sentinel-", panel.kind(), 0)
    assert made["index_patterns"] == [panel.pattern]
    fields = made["template"]["mappings"]["properties"]
    for column in panel.columns.values():
        if column["operationType"] != "count":
            assert fields[column["sourceField"]]["type"] in TYPES[column["operationType"]]
    if panel.query:
        assert fields[panel.query.split(" : ")[0]]["type"] == "keyword"
    assert fields[VIEWS["sentinel-anomalies"]["timeFieldName"]]["type"] == "date_nanos"


@pytest.fixture
async def stored(elastic_url: str) -> Any:
    """An Elasticsearch with three anomalies and two incidents, one of them over, and the prefix of
    its indices.
    """
    prefix = f"t{uuid.uuid4().hex[:8]}-"
    store = ElasticStore(
        StoreSettings(StoreKind.ELASTICSEARCH, urls=(elastic_url,), index_prefix=prefix, replicas=0)
    )
    await store.start()
    resolved = incident(
        2,
        1,
        state=IncidentState.RESOLVED,
        resolved_at=START,
        severity=Severity.LOW,
        application="search",
    )
    buckets = [(Kind.AGGREGATE, aggregate(number)) for number in range(4)]
    records = [(Kind.ANOMALY, anomaly(number)) for number in (1, 2, 3)]
    incidents = [(Kind.INCIDENT, each) for each in (incident(1, 1), resolved)]
    documents: list[Document] = [
        document(kind, record.to_bytes()) for kind, record in (*records, *incidents, *buckets)
    ]
    assert await store.write(documents) == []
    await store.close()
    with Elasticsearch(elastic_url, request_timeout=300) as client:
        client.indices.refresh(index=f"{prefix}*")
        yield client, prefix
        client.indices.delete(index=f"{prefix}*")
        for kind in Kind:
            client.indices.delete_index_template(name=template_name(prefix, kind))


async def test_each_panels_search_finds_what_it_is_about(stored: tuple[Elasticsearch, str]) -> None:
    """Elasticsearch takes every search, counts what there is, and fills every bucket and metric."""
    client, prefix = stored
    for panel in PANELS:
        answer = client.search(
            index=panel.pattern.replace("sentinel-", prefix, 1), body=panel.search()
        )
        expected = {Kind.ANOMALY: 3, Kind.AGGREGATE: 4}.get(panel.kind(), 1 if panel.query else 2)
        assert answer["hits"]["total"]["value"] == expected, panel.title
        assert answer["_shards"]["failed"] == 0
        for name in panel.search()["aggs"]:
            assert answer["aggregations"][name]["buckets"], (panel.title, name)
