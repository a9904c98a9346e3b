"""`python -m tests.harness.second_schema worker STAGE ...`: a worker of ours that knows telemetry
under a second id too.

The package has one version of the schema. A second one that says the same, under another id, costs
a decoder what an older one would: a block in which both stand cannot be read at once.
"""

import sys
from collections.abc import Callable
from types import MappingProxyType
from typing import Final

from schemas.avro import packaged
from schemas.avro.framing import PREFIX_BYTES, prefix
from topology.cli import main
from topology.demo.traces.templates import Templates, Times

ID: Final = 99
packaged_source: Final[Callable[[str, int], str]] = packaged.source
"""As it was before anything was learnt."""


def learn(text: str) -> None:
    """This process knows telemetry under the second id from now on, by a schema of this text: a
    version before the first.
    """
    packaged.IDS = MappingProxyType({**packaged.IDS, ID: packaged.Known("TelemetryEvent", 0)})  # type: ignore[misc]
    packaged.source = lambda name, version: (
        text if (name, version) == ("TelemetryEvent", 0) else packaged_source(name, version)
    )
    for cached in (packaged.newest, packaged.ids_of):
        cached.cache_clear()


class Mixed(Templates):
    """Records of which an evenly spread share is written under the second id."""

    def __init__(self, templates: Templates, share: float) -> None:
        self._templates, self._share = templates, share

    def records(self, run: str, first: int, times: Times) -> tuple[list[bytes], list[bytes]]:
        """As of the templates."""
        keys, values = self._templates.records(run, first, times)
        other, share = prefix(ID), self._share
        return keys, [
            other + value[PREFIX_BYTES:]
            if int((number + 1) * share) > int(number * share)
            else value
            for number, value in enumerate(values, first)
        ]


if __name__ == "__main__":
    learn(packaged_source("TelemetryEvent", 1))
    main(sys.argv[1:])
