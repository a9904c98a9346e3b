"""`python -m tests.faust.stock BROKER PREFIX FOLDER`: a worker as Faust's guide shows it, whose
agent raises, and one that reads JSON.

Prints one line for what it sees.
"""

import sys
from typing import Any

import faust


def build(broker: str, prefix: str, folder: str) -> faust.App:
    """The app. It makes folders for tables, wanted or not."""
    app = faust.App(
        f"{prefix}stock",
        broker=f"kafka://{broker}",
        store="memory://",
        datadir=folder,
        topic_disable_leader=True,
        topic_allow_declare=False,
        web_enabled=False,
        broker_commit_interval=0.2,
        consumer_auto_offset_reset="earliest",
    )

    async def raising(stream: Any) -> None:
        async for value in stream:
            print(f"raising at {value!r}", flush=True)
            raise RuntimeError(value)

    async def reading(stream: Any) -> None:
        async for value in stream:
            print(f"read {value!r}", flush=True)

    app.agent(
        app.topic(f"{prefix}raising", value_type=bytes, value_serializer="raw"), name="raising"
    )(raising)
    app.agent(app.topic(f"{prefix}reading", value_serializer="json"), name="reading")(reading)
    return app


if __name__ == "__main__":
    faust.Worker(
        build(*sys.argv[1:4]), loglevel="ERROR", quiet=True, redirect_stdouts=False
    ).execute_from_commandline()
