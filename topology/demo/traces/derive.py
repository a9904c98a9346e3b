"""Derives the hour of traffic in the package from the two public Azure LLM inference traces.

    python -m topology.demo.traces.derive AzureLLMInferenceTrace_code.csv
    AzureLLMInferenceTrace_conv.csv azure_hour.parquet

`SOURCES.md` beside this file names source and licence. The result is one row per request, both
services together, in the order of their arrival: what each asked for and got, and when, counted
from the first request of the two.
"""

import sys
from pathlib import Path

import polars as pl

SERVICES = ("code", "conv")


def requests_of(csv: Path, service: str) -> pl.DataFrame:
    """One trace's requests: `at` (datetime, µs; the source's seventh decimal, always 0, is
    dropped), `service`, tokens.
    """
    return pl.read_csv(csv).select(
        pl.col("TIMESTAMP")
        .str.head(26)
        .str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us")
        .alias("at"),
        pl.lit(service, dtype=pl.Enum(SERVICES)).alias("service"),
        pl.col("ContextTokens").cast(pl.UInt16).alias("prompt_tokens"),
        pl.col("GeneratedTokens").cast(pl.UInt16).alias("completion_tokens"),
    )


def derived(code_csv: Path, conv_csv: Path) -> pl.DataFrame:
    """Both traces as `offset_us` (i64, from the first request on), `service` (code or conv),
    `prompt_tokens`, `completion_tokens` (u16); ordered by offset, requests of one instant in the
    order code, conv and as they stood.
    """
    both = pl.concat([requests_of(code_csv, "code"), requests_of(conv_csv, "conv")]).sort(
        "at", maintain_order=True
    )
    return both.select(
        (pl.col("at") - pl.col("at").min()).dt.total_microseconds().alias("offset_us"),
        "service",
        "prompt_tokens",
        "completion_tokens",
    )


def main(arguments: list[str]) -> int:
    """Writes the file; answers the process's exit status."""
    if len(arguments) != 3:
        print("usage: python -m topology.demo.traces.derive CODE_CSV CONV_CSV OUT", file=sys.stderr)
        return 2
    code, conv, out = map(Path, arguments)
    frame = derived(code, conv)
    frame.write_parquet(out, compression="zstd", compression_level=19, statistics=False)
    print(f"{out}: {frame.height} requests, {out.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
