"""The API's description, OpenAPI 3.1, made from the types that it is served with."""

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from schemas.avro import packaged
from topology.api import queries, texts, times
from topology.api.routes import Route, Shape

PATH: Final = "/api/v1/openapi.json"

Json = dict[str, Any]

_REF: Final = "#/components/schemas/{model}"

_PROBLEM: Final[Json] = {
    "type": "object",
    "description": "A problem as RFC 9457 defines it.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"parameter": {"type": "string"}, "reason": {"type": "string"}},
            },
        },
    },
}


def description(routes: Iterable[Route]) -> Json:
    """The document."""
    routes = list(routes)
    components: Json = {"Problem": _PROBLEM}
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    for record in {route.record for route in routes}:
        made = TypeAdapter(record).json_schema(ref_template=_REF)
        for name, part in {**made.pop("$defs", {}), record.__name__: made}.items():
            components[name] = _as_answered(_documented(name, part))
    models = {model for route in routes for model in (route.query, route.body) if model is not None}
    _, kinds = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    components.update(
        {name: one for name, one in kinds.get("$defs", {}).items() if not _is_query(name)}
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sentinel",
            "version": version("llm-sentinel"),
            "description": (
                "Incidents, anomalies and notifications, and commands about them. Times are RFC"
                " 3339 in UTC, or with `times=us`"
                " numbers: microseconds since 1970-01-01 UTC, as in the records on the topics."
            ),
        },
        "security": [{"bearer": []}, {}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _is_query(name: str) -> bool:
    kind = getattr(queries, name, None)
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _documented(name: str, schema: Json) -> Json:
    """With what the Avro schema says of each field, which has the units."""
    if name not in ("Incident", "Anomaly", "Notification"):
        return schema
    fields = packaged.schema_json(packaged.newest(name))["fields"]
    assert isinstance(fields, list)
    docs = {field["name"]: field["doc"] for field in fields if isinstance(field, dict)}
    for field, one in schema["properties"].items():
        one.pop("title", None)
        if isinstance(docs.get(field), str):
            one["description"] = docs[field]
    return schema


def _as_answered(schema: Json) -> Json:
    """As JSON has it: times as they are written, and null for a number that is not finite."""
    for name, one in schema.get("properties", {}).items():
        branches = one.get("anyOf", [one])
        if name in times.NAMES and {"type": "integer"} in [
            {"type": branch.get("type")} for branch in branches
        ]:
            one.pop("anyOf", None)
            nullable = ["null"] if len(branches) > 1 else []
            one |= {"type": ["string", "integer", *nullable], "format": "date-time"}
        elif one.get("type") == "number":
            one["type"] = ["number", "null"]
    return schema


def _operation(route: Route) -> Json:
    item = {"$ref": _REF.format(model=route.record.__name__)}
    page = {
        "type": "object",
        "required": ["items", "next"],
        "properties": {
            "items": {"type": "array", "items": item},
            "next": {
                "type": ["string", "null"],
                "description": "Give it as `cursor` for the next page; null at the end.",
            },
        },
    }
    problem = {"application/problem+json": {"schema": {"$ref": _REF.format(model="Problem")}}}
    answer = {Shape.ONE: item, Shape.PAGE: page}[route.shape]
    operation: Json = {
        "summary": route.summary,
        "description": (route.answer.__doc__ or "").strip(),
        "operationId": route.answer.__name__,
        "parameters": list(_parameters(route)),
        "responses": {
            str(route.status): {
                "description": "Success.",
                "content": {"application/json": {"schema": answer}},
            },
            "default": {"description": "The error.", "content": problem},
        },
    }
    if route.body is not None:
        schema = {"$ref": _REF.format(model=route.body.__name__)}
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema}},
        }
    return operation


def _parameters(route: Route) -> Iterable[Json]:
    if "{id}" in route.path:
        name = {"type": "string", "minLength": 1, "maxLength": texts.LONGEST_NAME}
        yield {"name": "id", "in": "path", "required": True, "schema": name}
    schema: Mapping[str, Any] = route.query.model_json_schema(ref_template=_REF)
    required = schema.get("required", [])
    for name, one in schema.get("properties", {}).items():
        shown = {key: value for key, value in one.items() if key not in ("title", "description")}
        # A tenant's own token names it.
        needed = name in required and name != "tenant"
        yield {
            "name": name,
            "in": "query",
            "required": needed,
            "description": one.get("description", ""),
            "schema": shown,
        }
