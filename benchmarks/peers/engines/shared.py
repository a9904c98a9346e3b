"""What the engines written in Python share: where they read and write, the schema, the fold of a
window, and telling how far they are.

Every engine gets its orders in environment variables, prints `SEEN n` now and then when it has
taken n events in, and ends on SIGTERM.
"""

import json
import math
import os
import sys
from pathlib import Path

BROKER = os.environ["PEER_BROKER"]
TOPIC = os.environ["PEER_TOPIC"]
OUT = os.environ.get("PEER_OUT", "")
GROUP = os.environ["PEER_GROUP"]
STATE = os.environ["PEER_STATE"]
EVENTS = int(os.environ["PEER_EVENTS"])
WINDOW_US = int(os.environ["PEER_WINDOW_S"]) * 1_000_000
GRACE_US = int(os.environ["PEER_GRACE_S"]) * 1_000_000
COMMIT_S = float(os.environ["PEER_COMMIT_S"])
PARTITIONS = int(os.environ["PEER_PARTITIONS"])

PREFIX_BYTES = 5
_WANTED = ("event_time", "application", "model", "status", "latency_us", "cost_nano")
_REPORTS = 200


def schemas():
    """The schema that the records were written with, and one that asks for the six fields that are
    used: skipping is cheaper than making the others. Times stay whole microseconds.
    """
    writer = json.loads(Path(os.environ["PEER_SCHEMA"]).read_text())
    for field in writer["fields"]:
        if field["name"] == "event_time":
            field["type"] = "long"
    return writer, {
        **writer,
        "fields": [field for field in writer["fields"] if field["name"] in _WANTED],
    }


def is_event(value):
    """Whether a record is telemetry. Beside it stand the settings versions and ticks that Sentinel
    writes to its own lanes.
    """
    return value is not None and value[:1] == b"\0"


class Seen:
    """Counts events, and says so each half per cent of the way."""

    def __init__(self):
        self.count = 0
        self._step = max(1, EVENTS // _REPORTS)
        self._next = 1

    def add(self, events=1):
        """So many more."""
        self.count += events
        if self.count >= self._next:
            # Not sys.stdout: Faust puts a logger in its place.
            print(f"SEEN {self.count}", flush=True, file=sys.__stdout__)
            self._next = min(self.count + self._step, EVENTS) if self.count < EVENTS else math.inf


def empty():
    """Numbers of a window without events: count, sum, sum of squares, maximum, errors, cost."""
    return [0, 0, 0, 0, 0, 0]


def fold(numbers, event):
    """The window's numbers with one more event; the list is changed in place."""
    latency = event["latency_us"]
    numbers[0] += 1
    numbers[1] += latency
    numbers[2] += latency * latency
    if latency > numbers[3]:
        numbers[3] = latency
    if event["status"] != "success":
        numbers[4] += 1
    numbers[5] += event["cost_nano"]
    return numbers
