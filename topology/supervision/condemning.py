"""Finds the record or batch that crashed a worker, and lets every worker skip it.

The dying worker left a crash note of what it was decoding. The same records are decoded one by one
in child processes; a record that crashes its process is condemned: a signed skip record on
`settings`, which every worker reads before it decodes. A batch is condemned when workers died
several times in a row while they decompressed or cut it, also of too little memory. Other deaths
condemn nothing.
"""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from aiokafka.errors import KafkaError
from confluent_kafka import KafkaException, Producer

from schemas.secrets import Secret
from streams.client.brokers import producer_config
from streams.control.settings_log import skip_batch_record, skip_record
from streams.exit_status import BUG
from streams.lane.outgoing import Outgoing
from streams.process.crash_note import Decoding, Unpacking, read_note
from streams.settings import Broker
from streams.topic_names import TopicNames
from topology.control.reading import Read, span
from topology.supervision.decoding_trial import framed
from topology.supervision.supervisor import Child, cause

NATIVE: Final = frozenset(
    {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP}
)
"""Signals of a crash in native code. Not SIGKILL: it comes from a person, or from the operating
system when memory is short.
"""

TRIES: Final = 3
"""Deaths in a row while one batch is decompressed (by a signal, for lack of memory, or of a bug)
after which the batch is condemned.
"""

TRIAL: Final = (sys.executable, "-m", "topology.supervision.decoding_trial")

_TRIAL_S: Final = 60.0
_DURABLE_S: Final = 30.0


class Condemner:
    """Examines a worker's death; its `after_death` is the supervisor's.

    Args:
        broker: where the records are.
        key: signs the skip records; without one they are only reported.
        note: the file that the worker's note is in.
        say: called with one line for each verdict and each failure.
        trial: command that decodes records, as `decoding_trial` does.
    """

    def __init__(
        self,
        broker: Broker,
        key: Secret,
        note: Path,
        say: Callable[[str], None],
        trial: Sequence[str] = TRIAL,
    ) -> None:
        self._broker, self._key, self._note, self._say, self._trial = broker, key, note, say, trial
        self._last: Unpacking | None = None
        self._deaths = 0
        self._names = TopicNames(broker.topic_prefix)

    async def after_death(self, child: Child, status: int) -> None:
        """Find the record that crashed the child, and have it skipped.

        A failure to do so is reported, and the worker is restarted all the same.
        """
        # No other stage decodes telemetry.
        if child.name != "detect":
            return
        doing = read_note(self._note)
        try:
            if isinstance(doing, Unpacking) and (
                -status in NATIVE or status in (-signal.SIGKILL, BUG)
            ):
                await asyncio.to_thread(self._died_unpacking, doing, status)
            elif isinstance(doing, Decoding) and -status in NATIVE:
                await asyncio.to_thread(self._try_again, doing)
        except (KafkaException, KafkaError, subprocess.TimeoutExpired, OSError) as fault:
            self._say(f"cannot search for the record that crashed {child.name}: {fault}")

    def _died_unpacking(self, batch: Unpacking, status: int) -> None:
        # Any other batch in between: deaths are not in a row.
        self._deaths = self._deaths + 1 if batch == self._last else 1
        self._last = batch
        what = (
            f"the batch {self._names.telemetry}/{batch.partition} offsets {batch.start} to"
            f" {batch.end - 1}"
        )
        if self._deaths < TRIES:
            self._say(
                f"detect died while decompressing or cutting {what},"
                f" {self._deaths} of {TRIES} times ({cause(status)})"
            )
            return
        verdict = skip_batch_record(
            *(self._names.settings, self._names.telemetry, batch.partition, batch.start),
            cause(status),
            self._key,
        )
        self._publish_or_ask(
            f"{what} kills the worker that decompresses and cuts it ({cause(status)})", verdict
        )

    def _try_again(self, decoding: Decoding) -> None:
        topic = self._names.telemetry
        records = [
            record
            for record in span(
                self._broker, topic, decoding.partition, decoding.start, decoding.end
            )
            if record.value is not None
        ]
        guilty = list(self._killers(records))
        if not guilty:
            self._say(
                f"detect died while decoding {topic}/{decoding.partition} from {decoding.start}"
                f" to {decoding.end}, but none of these records kills the decoder alone; none is"
                " skipped"
            )
        for record, status in guilty:
            self._condemn(record, status)

    def _killers(self, records: Sequence[Read]) -> "list[tuple[Read, int]]":
        guilty = []
        left = list(records)
        while left:
            given = framed(record.value or b"" for record in left)
            done = subprocess.run(
                self._trial, input=given, capture_output=True, timeout=_TRIAL_S, check=False
            )
            # The rest decodes without a crash.
            if -done.returncode not in NATIVE or not done.stdout:
                break
            # The trial names each record before it decodes it: the last one is guilty.
            number = int(done.stdout.split()[-1])
            guilty.append((left[number], done.returncode))
            # Records behind it may crash the decoder too.
            left = left[number + 1 :]
        return guilty

    def _condemn(self, record: Read, status: int) -> None:
        what = (
            f"record {record.topic}/{record.partition} offset {record.offset} kills the decoder"
            f" ({cause(status)})"
        )
        verdict = skip_record(
            self._names.settings,
            record.topic,
            record.partition,
            record.offset,
            cause(status),
            self._key,
        )
        self._publish_or_ask(what, verdict)

    def _publish_or_ask(self, what: str, verdict: Outgoing) -> None:
        if not self._key:
            self._say(
                f"{what}; to have it skipped, set worker.control_key_file, the same for every"
                " worker"
            )
            return
        self._publish(verdict)
        self._say(f"{what}; it is skipped from now on, and goes to {self._names.dead_letters}")

    def _publish(self, verdict: Outgoing) -> None:
        producer = Producer({**producer_config(self._broker), "log_level": 0})
        producer.produce(verdict.topic, verdict.value, verdict.key, headers=list(verdict.headers))
        if producer.flush(_DURABLE_S):
            raise OSError("the verdict was not acknowledged")
