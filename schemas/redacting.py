"""Secrets in text that people read: passwords and tokens in addresses."""

import re
from typing import Final

HIDDEN: Final = "***"

_CREDENTIALS: Final = re.compile(
    r"(?<=//)[^\s/'\"]*@|(?<![\w/])[^\s/'\"@:,=\[]+:[^\s/'\"@,]+@(?=[\w\[])"
)
"""`user:password@`, after `//` or where the scheme was left out."""

_QUERY: Final = re.compile(r"([?&#][\w.~-]+=)[^\s&#'\"]+")
# Sixteen characters or more with a digit: names of paths are shorter, or have none.
_TOKEN: Final = re.compile(r"(?<=/)(?=[\w.~-]*\d)[\w.~-]{16,}")
_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^\s'\"]+", re.IGNORECASE)


def redacted(text: str) -> str:
    """The text without the passwords and the values of queries that are in its addresses.

    >>> redacted("no answer from https://u:geheim@x.example/hook?key=geheim&b, try again")
    'no answer from https://***@x.example/hook?key=***&b, try again'
    >>> redacted("'u:geheim@x.example:9200' is no URL"), redacted("at 10:30 mail a@b.example")
    ("'***@x.example:9200' is no URL", 'at 10:30 mail a@b.example')
    """
    # Cheap tests first: every log line passes through here.
    if "@" in text:
        text = _CREDENTIALS.sub(f"{HIDDEN}@", text)
    if "://" in text and "=" in text:
        text = _ADDRESS.sub(lambda found: _QUERY.sub(rf"\1{HIDDEN}", found[0]), text)
    return text


def redacted_address(text: str) -> str:
    """A setting that may be an address, also without what looks like a token in its path: many
    services use such an address as the password.

    >>> redacted_address("https://hooks.example/services/T0AB12/B0CD34/XXXXabcd1234efgh5678")
    'https://hooks.example/services/T0AB12/B0CD34/***'
    >>> redacted_address("kafka-1:9093,kafka-2:9093")
    'kafka-1:9093,kafka-2:9093'
    """
    whole = redacted(text)
    return (
        _ADDRESS.sub(lambda found: _TOKEN.sub(HIDDEN, found[0]), whole) if "://" in whole else whole
    )
