"""Hypothesis on a machine that does other things too; and no backtrace for every bad record that
polars meets.
"""

import os

# Read by polars' panics; workers are started in the same way.
os.environ["RUST_BACKTRACE"] = "0"
