"""The facts that a person on call looks for first in an incident, in the order of their display."""

from collections.abc import Iterator

from schemas.messages.message import IncidentPart


def facts(incident: IncidentPart) -> Iterator[tuple[str, str]]:
    """Names and texts: the four numbers, the errors, the acknowledgement, and why the incident is
    in its state. Unknown facts are left out.
    """
    if incident.evidence is not None:
        shown = incident.evidence
        yield from _present(
            now=shown.now, usual=shown.usual, how_unusual=shown.unusual, since=shown.since
        )
    yield from _present(
        errors="; ".join(incident.errors),
        acknowledged_by=incident.acknowledged_by,
        acknowledged_since=incident.acknowledged_at,
        comment=incident.acknowledged_comment,
        no_data_since=incident.no_data_since,
        new_level_since=incident.new_level_since,
        note=incident.note,
    )


def _present(**named: str | None) -> Iterator[tuple[str, str]]:
    return ((name, text) for name, text in named.items() if text)
