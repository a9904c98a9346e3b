"""Installations on the shared broker."""

from pathlib import Path

import pytest

from tests.harness.worker import Installation


@pytest.fixture
def installation(kafka: str, topic_prefix: str, tmp_path: Path) -> Installation:
    """Two lanes, with topics that nobody else uses."""
    return Installation(kafka, topic_prefix, tmp_path).with_topics()
