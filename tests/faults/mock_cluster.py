"""librdkafka's mock of Kafka, in a process of its own, that answers with errors when it is told to.

    python -m tests.faults.mock_cluster       # prints host:port; then one order a line on standard
    input, one answer a line

The package `confluent_kafka` brings the library, mock included, and says nothing of it in Python:
it is called by ctypes, found through the extension that is linked to it, so wherever a wheel put
it. All requests of an API meet the errors loaded for it, whoever makes them, in order, one each.
"""

import contextlib
import ctypes
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self

from confluent_kafka import cimpl

from tests.harness.showing import BenchmarkFailed
from topology.supervision.announcing import end_at_once, start_announcing
from topology.supervision.orphans import end_with_parent

_PRODUCER: Final = 0


class MockCluster:
    """The mock cluster as a child process; `address` is where it listens once it has been
    entered.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self.address = ""

    def load(self, api: int, code: int, times: int, after: int = 0) -> None:
        """Requests of an API, of any but Metadata, are answered with this code: so many, once so
        many others were answered as usual.
        """
        self._order("load", api, code, times, after)

    def spoil(self, topics: Iterable[str], code: int) -> None:
        """Metadata says this of the topics from now on; 0 is that all is well."""
        for topic in topics:
            self._order("spoil", topic, code)

    def forget(self, api: int) -> None:
        """No more errors for requests of this API."""
        self._order("forget", api)

    def asked(self, api: int) -> int:
        """Requests of an API since errors were loaded last; each met one, as long as there was
        one.
        """
        return self._order("asked", api)

    def _order(self, *order: object) -> int:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise BenchmarkFailed("the mock cluster does not run")
        # Whether it still takes the order or not: without an answer it has ended.
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:
            raise BenchmarkFailed(f"the mock cluster ended at {order}")
        return int(answer)

    def __enter__(self) -> Self:
        self._process, self.address = start_announcing(
            "tests.faults.mock_cluster", stdin=subprocess.PIPE
        )
        if not self.address:
            self.__exit__(None, None, None)
            raise BenchmarkFailed(
                "the mock cluster did not start: run `python -m tests.faults.mock_cluster` to"
                " see why"
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        process, self._process = self._process, None
        if process is not None:
            end_at_once(process)


class _Library:
    """What librdkafka exports for tests (rdkafka_mock.h), as far as it is needed here. What is
    missing is said at the start.
    """

    def __init__(self) -> None:
        # A handle on the extension finds the symbols of what it is linked to as well.
        self._library = ctypes.CDLL(cimpl.__file__)
        pointer, size, code = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
        call, why = self._function, ctypes.create_string_buffer(512)
        configured = call("rd_kafka_conf_new", pointer)()
        call("rd_kafka_conf_set", code, pointer, *[ctypes.c_char_p] * 2, pointer, size)(
            configured, b"log_level", b"0", why, len(why)
        )
        self._client = call("rd_kafka_new", pointer, code, pointer, pointer, size)(
            _PRODUCER, configured, why, len(why)
        )
        if not self._client:
            raise BenchmarkFailed(why.value.decode())
        self.cluster = call("rd_kafka_mock_cluster_new", pointer, pointer, code)(self._client, 1)
        self.bootstraps = call("rd_kafka_mock_cluster_bootstraps", ctypes.c_char_p, pointer)
        self.no_delay = call(
            "rd_kafka_mock_group_initial_rebalance_delay_ms", None, pointer, ctypes.c_int32
        )
        codes = (pointer, ctypes.c_int16, size, ctypes.POINTER(code))
        self.push = call("rd_kafka_mock_push_request_errors_array", None, *codes)
        self.clear = call("rd_kafka_mock_clear_request_errors", None, pointer, ctypes.c_int16)
        self.set_topic = call("rd_kafka_mock_topic_set_error", None, pointer, ctypes.c_char_p, code)
        self.track = call("rd_kafka_mock_start_request_tracking", None, pointer)
        self.requests = call(
            "rd_kafka_mock_get_requests", ctypes.POINTER(pointer), pointer, ctypes.POINTER(size)
        )
        self.api_of = call("rd_kafka_mock_request_api_key", ctypes.c_int16, pointer)
        self.destroy = call(
            "rd_kafka_mock_request_destroy_array", None, ctypes.POINTER(pointer), size
        )
        self.clear_requests = call("rd_kafka_mock_clear_requests", None, pointer)

    def _function(self, name: str, answer: Any, *arguments: Any) -> Any:
        try:
            function = self._library[name]
        except AttributeError as missing:
            raise BenchmarkFailed(f"librdkafka of this confluent_kafka has no {name}") from missing
        function.restype, function.argtypes = answer, list(arguments)
        return function


class _Orders:
    """What the process does when it is told to."""

    def __init__(self, library: _Library) -> None:
        self._library = library
        self.known: Mapping[str, Callable[..., int]] = MappingProxyType(
            {"load": self._load, "spoil": self._spoil, "forget": self._forget, "asked": self._asked}
        )

    def _load(self, api: int, code: int, times: int, after: int) -> int:
        library, codes = self._library, [0] * after + [code] * times
        library.clear_requests(library.cluster)
        library.push(library.cluster, api, len(codes), (ctypes.c_int * len(codes))(*codes))
        return len(codes)

    def _spoil(self, topic: str, code: int) -> int:
        library = self._library
        library.clear_requests(library.cluster)
        library.set_topic(library.cluster, topic.encode(), code)
        return code

    def _forget(self, api: int) -> int:
        self._library.clear(self._library.cluster, api)
        return 0

    def _asked(self, api: int) -> int:
        library, count = self._library, ctypes.c_size_t()
        requests = library.requests(library.cluster, ctypes.byref(count))
        found: int = sum(library.api_of(requests[index]) == api for index in range(count.value))
        library.destroy(requests, count)
        return found


def serve() -> None:
    """Starts the cluster, prints its address, and does as it is told until nobody is there to tell
    it.
    """
    end_with_parent()
    library = _Library()
    library.no_delay(library.cluster, 0)
    library.track(library.cluster)
    orders = _Orders(library)
    sys.stdout.write(f"{library.bootstraps(library.cluster).decode()}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        sys.stdout.write(f"{orders.known[name](*arguments)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
