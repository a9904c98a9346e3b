"""Installations on the shared broker, as the stages' tests have them."""

from tests.stages.conftest import installation

__all__ = ["installation"]
