"""Store settings that would be unsafe or without effect are refused."""

import pytest

from connectors.store.settings import StoreSettings
from schemas.secrets import Secret


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"urls": ("http://search.example:9200",), "username": "u", "password": Secret("p")},
            "plain text",
        ),
        ({"urls": ("http://search.example:9200",), "api_key": Secret("k")}, "plain text"),
        ({"urls": ("https://u:p@search.example",)}, "must not hold credentials"),
        ({"urls": ()}, "no node"),
        ({"urls": ("search:9200",)}, "no URL"),
        ({"username": "u"}, "go together"),
        ({"username": "u", "password": Secret("p"), "api_key": Secret("k")}, "either"),
        ({"index_prefix": "Sentinel-"}, "lower case"),
    ],
)
def test_contradictions_and_plain_text_credentials_are_refused(
    given: dict[str, object], told: str
) -> None:
    """Before anything connects, with the setting to change."""
    with pytest.raises(ValueError, match=told):
        StoreSettings(**given)  # type: ignore[arg-type]


def test_secrets_do_not_show() -> None:
    """Neither in a log line nor in a traceback."""
    settings = StoreSettings(
        urls=("https://search.example",), username="u", password=Secret("hunter2")
    )
    assert "hunter2" not in repr(settings)
