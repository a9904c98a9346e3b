"""docs/concepts.md is the glossary: one word, one thing."""

import re
from typing import Final

from tests.docs.pages import text

PAGE: Final = "docs/concepts.md"
NEEDED: Final = (
    "block lane step flush chunk subject series bucket signal anomaly incident notification thread"
    " tombstone watermark tick effect outbox checkpoint back-pressure position receiver message"
)
"""Words that the code uses everywhere."""


def _terms() -> list[str]:
    return [term.rstrip(".").lower() for term in re.findall(r"\*\*([^*]+)\*\*", text(PAGE))]


def test_every_term_is_explained_once() -> None:
    """A term in bold is explained where it stands; twice would be two things."""
    terms = _terms()
    assert sorted(terms) == sorted(set(terms))


def test_the_words_of_the_code_are_in_the_glossary() -> None:
    """Among them the names of the field's concepts that the code has names of its own for."""
    missing = set(NEEDED.split()) - set(_terms())
    assert missing == set()
    assert {"dead letter", "dead man's switch", "control record", "native decoder"} <= set(_terms())
