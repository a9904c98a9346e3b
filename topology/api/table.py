"""All questions of the API: what is served, and what its description says."""

from typing import Final

from connectors.store.port import Point
from schemas.records import Anomaly, Incident, Notification
from topology.api import queries, routes
from topology.api.routes import Route

ROUTES: Final = (
    Route("/api/v1/incidents", "Incidents", queries.Incidents, Incident, True, routes.incidents),
    Route("/api/v1/incidents/{id}", "One incident", queries.Query, Incident, False, routes.incident),
    Route(
        "/api/v1/incidents/{id}/anomalies",
        "Anomalies of an incident",
        queries.Query,
        Anomaly,
        True,
        routes.anomalies_of_incident,
    ),
    Route("/api/v1/anomalies", "Anomalies", queries.Anomalies, Anomaly, True, routes.anomalies),
    Route("/api/v1/anomalies/{id}", "One anomaly", queries.Query, Anomaly, False, routes.anomaly),
    Route("/api/v1/notifications", "Notifications", queries.Notifications, Notification, True, routes.notifications),
    Route("/api/v1/series", "A series with its band", queries.Series, Point, True, routes.series),
)
