"""All questions of the API: what is served, and what its description says."""

from typing import Final

from connectors.store.port import Point, Subject
from schemas.records.anomalies import Anomaly
from schemas.records.control import Audit
from schemas.records.incidents import Incident
from schemas.records.notifications import Notification
from topology.api import acting, overview, pipeline, queries, reading, shapes
from topology.api.permissions import Access
from topology.api.routes import Route, Shape

_V1: Final = "/api/v1"
LIVE_PATH: Final = f"{_V1}/live"

ROUTES: Final = (
    Route(
        f"{_V1}/me",
        Access.READ,
        "What this token allows",
        queries.Query,
        shapes.Me,
        Shape.ONE,
        acting.me,
    ),
    Route(
        f"{_V1}/tenants",
        Access.READ,
        "Tenants",
        queries.Query,
        shapes.Tenant,
        Shape.PAGE,
        reading.tenants,
    ),
    Route(
        f"{_V1}/incidents",
        Access.READ,
        "Incidents",
        queries.Incidents,
        Incident,
        Shape.PAGE,
        reading.incidents,
    ),
    Route(
        f"{_V1}/incidents/{{id}}",
        Access.READ,
        "One incident",
        queries.OfTenant,
        Incident,
        Shape.ONE,
        reading.incident,
    ),
    Route(
        f"{_V1}/incidents/{{id}}/anomalies",
        Access.READ,
        "Anomalies of an incident",
        queries.OfTenant,
        Anomaly,
        Shape.PAGE,
        reading.anomalies_of_incident,
    ),
    Route(
        f"{_V1}/incidents/{{id}}/acknowledge",
        Access.ACT,
        "Acknowledge an incident",
        queries.OfTenant,
        shapes.Accepted,
        Shape.ONE,
        acting.acknowledge,
        "POST",
        shapes.Saying,
        202,
    ),
    Route(
        f"{_V1}/incidents/{{id}}/close",
        Access.ACT,
        "End an incident",
        queries.OfTenant,
        shapes.Accepted,
        Shape.ONE,
        acting.close,
        "POST",
        shapes.Saying,
        202,
    ),
    Route(
        f"{_V1}/anomalies",
        Access.READ,
        "Anomalies",
        queries.Anomalies,
        Anomaly,
        Shape.PAGE,
        reading.anomalies,
    ),
    Route(
        f"{_V1}/anomalies/{{id}}",
        Access.READ,
        "One anomaly",
        queries.OfTenant,
        Anomaly,
        Shape.ONE,
        reading.anomaly,
    ),
    Route(
        f"{_V1}/notifications",
        Access.READ,
        "Notifications",
        queries.Notifications,
        Notification,
        Shape.PAGE,
        reading.notifications,
    ),
    Route(
        f"{_V1}/subjects",
        Access.READ,
        "What has series",
        queries.OfTenant,
        Subject,
        Shape.PAGE,
        reading.subjects,
    ),
    Route(
        f"{_V1}/series",
        Access.READ,
        "A series with its band",
        queries.Series,
        Point,
        Shape.PAGE,
        reading.series,
    ),
    Route(
        f"{_V1}/silences",
        Access.READ,
        "Silences",
        queries.OfTenants,
        shapes.Silence,
        Shape.PAGE,
        acting.silences,
    ),
    Route(
        f"{_V1}/silences",
        Access.ACT,
        "Silence incidents",
        queries.Query,
        shapes.Silence,
        Shape.ONE,
        acting.add_silence,
        "POST",
        shapes.NewSilence,
        201,
    ),
    Route(
        f"{_V1}/silences/{{id}}",
        Access.ACT,
        "End a silence",
        queries.OfTenant,
        shapes.Accepted,
        Shape.ONE,
        acting.end_silence,
        "DELETE",
        shapes.Saying,
        202,
    ),
    Route(
        f"{_V1}/acknowledgements",
        Access.READ,
        "Who takes care of which incident",
        queries.OfTenants,
        shapes.Acknowledgement,
        Shape.PAGE,
        acting.acknowledgements,
    ),
    Route(
        f"{_V1}/audit",
        Access.READ,
        "What came of commands",
        queries.Audits,
        Audit,
        Shape.PAGE,
        acting.audit,
    ),
    Route(
        f"{_V1}/overview",
        Access.READ,
        "How things are, and how far that can be believed",
        queries.OfTenants,
        shapes.Overview,
        Shape.ONE,
        overview.overview,
    ),
    Route(
        f"{_V1}/pipeline",
        Access.OPERATORS,
        "The pipeline's workers",
        queries.Query,
        shapes.Pipeline,
        Shape.ONE,
        pipeline.pipeline,
    ),
)
"""The questions of `/api/v1`, each with what it takes and what it answers. `/live` beside them is a
WebSocket.
"""
