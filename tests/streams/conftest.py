"""Hypothesis on a machine that does other things too: no deadline for a single example."""

from hypothesis import settings

settings.register_profile("sentinel", deadline=None, max_examples=60)
settings.load_profile("sentinel")
