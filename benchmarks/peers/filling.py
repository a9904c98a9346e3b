"""The input: one topic with telemetry as our producers write it, and for engines that want it a
copy with other record keys.
"""

from confluent_kafka import Producer

from benchmarks.peers.work import SEED, Work
from topology.demo.traces.ordinary import ordinary_events
from topology.demo.traces.outbox import Outbox
from topology.demo.traces.playing import FILL
from topology.demo.traces.templates import RUN_LENGTH, Templates


def fill(producer: Producer, work: Work, topic: str, keyed_topic: str | None) -> None:
    """Writes the events, keyed by tenant and application, to `topic`, and the same values keyed by
    `application|model` to `keyed_topic`.

    None means that no engine of this run reads the copy. Raises NotDelivered.
    """
    events = ordinary_events(work.population, SEED)
    templates = Templates(events)
    other_keys = [f"{event.application}|{event.model}".encode() for event in events]
    outbox, other = Outbox(producer, topic), Outbox(producer, keyed_topic or topic)
    run = f"peer{work.start:0{RUN_LENGTH - len('peer')}d}"
    for first in range(0, work.events, FILL):
        count = min(FILL, work.events - first)
        keys, values = templates.records(run, first, work.times(first, count))
        outbox.put(keys, values)
        if keyed_topic is not None:
            other.put(
                [other_keys[number % len(events)] for number in range(first, first + count)], values
            )
    outbox.close(600.0)
