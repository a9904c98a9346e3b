"""A kind of document is its spec: whatever a spec names exists."""

import pytest

from connectors.store.settings import Retention
from schemas.documents import SPECS, Kind, schema_of
from streams.admin.topics import specs
from streams.settings import Lanes
from streams.topic_names import TopicNames

every_kind = pytest.mark.parametrize("kind", Kind)


@every_kind
def test_a_spec_names_fields_of_its_schema(kind: Kind) -> None:
    """A field that is misspelt would be neither found nor searched, silently."""
    spec = SPECS[kind]
    named = {spec.time, *spec.id_parts, *spec.texts, *spec.unsearched, *spec.indexed, "tenant"}
    named |= {spec.revision} - {None}
    assert named <= {field.name for field in schema_of(kind).fields}


@every_kind
def test_every_kind_comes_from_a_topic_that_is_made(kind: Kind) -> None:
    """The sink reads it, and a topic that nobody makes would stop it."""
    assert SPECS[kind].topic in {topic.name for topic in specs(TopicNames(""), Lanes())}


@every_kind
def test_every_kind_has_a_retention_setting(kind: Kind) -> None:
    """Without one the purge would fail an hour after the start."""
    assert Retention(**{f"{kind}_days": 3}).days(kind) == 3
