"""Messages as alert makes them, from names as bad as telemetry may bring."""

from dataclasses import replace

from agents.alerting.messages import Listing, incident_message, summary_message
from agents.alerting.reasons import Reason
from schemas.records.incidents import Incident, IncidentChange
from tests.alerting.timeline import incident

PAGE = "https://sentinel.example.org/"
OPENED = incident("4f", IncidentChange.OPENED, 0)
NASTY = replace(
    OPENED,
    tenant="a&b <!channel>" + "t" * 300,
    application="<script>*app*\x00\x1b[31m\u202e",
    title="<!here> & `rm` _x_ *y* ~z~ <https://evil.example|click>\n\r\t" + "\u00fc&" * 3000,
    models=tuple(f"<@U{number}>" * 40 for number in range(100)),
    metrics=tuple("m&" * 90 + str(number) for number in range(100)),
)


def body(
    about: Incident = OPENED, reason: Reason = Reason.OPENED, page_url: str | None = PAGE
) -> bytes:
    """A message about one incident."""
    return incident_message(about, reason, page_url).encode()


def summary(count: int = 60, about: Incident = NASTY) -> bytes:
    """A summary that lists this many incidents."""
    return summary_message(
        about.tenant, [Listing.of(replace(about, id=str(n))) for n in range(count)], 5
    ).encode()
