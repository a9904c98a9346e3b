"""Hypothesis on a machine that does other things too; and no backtrace for every bad record that polars meets."""

import os

from hypothesis import settings

# Read by polars' panics; workers are started in the same way.
os.environ["RUST_BACKTRACE"] = "0"

settings.register_profile("sentinel", deadline=None, max_examples=60)
settings.load_profile("sentinel")
