"""One HTTP request of a check: any answer and any failure is a value."""

import http.client
import ssl
import urllib.error
import urllib.request
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

from topology.doctor.findings import TIMEOUT_S

_MAX_BYTES: Final = 65_536
"""Bytes of an answer that are read."""


def get(
    url: str, headers: dict[str, str], ca_file: str | None
) -> tuple[int | None, str, datetime | None]:
    """Status (None without an answer), the body or the failure in words, and the server's clock."""
    try:
        context = ssl.create_default_context(cafile=ca_file) if url.startswith("https:") else None
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S, context=context
        ) as answer:
            date = answer.headers.get("Date")
            body = answer.read(_MAX_BYTES).decode(errors="replace")
            return answer.status, body, _moment(date) if date else None
    except urllib.error.HTTPError as refused:
        return refused.code, f"HTTP {refused.code}", None
    except (OSError, http.client.HTTPException) as fault:
        return None, " ".join(str(getattr(fault, "reason", fault)).split()), None
    except ValueError:
        # The exception's text shows the header that it refuses, with the credentials in it.
        why = (
            "the address, user name, password or key contains a character that no request may"
            " have, such as a line break"
        )
        return None, why, None


def _moment(date: str) -> datetime | None:
    """The time of a Date header; None for an impossible date, and for one without a time zone."""
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else None
