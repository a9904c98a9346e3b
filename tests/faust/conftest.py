"""Apps that are looked at and never started leave nothing behind."""

from collections.abc import Iterator
from typing import Any

import pytest
from mode.threads import ServiceThread


@pytest.fixture(autouse=True)
def _close_loops(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The consumer's thread makes its event loop before it is started."""
    made: list[ServiceThread] = []
    stock = ServiceThread.__init__

    def remembering(self: ServiceThread, *args: Any, **kwargs: Any) -> None:
        stock(self, *args, **kwargs)
        made.append(self)

    monkeypatch.setattr(ServiceThread, "__init__", remembering)
    yield
    for thread in made:
        if not thread.thread_loop.is_running():
            thread.thread_loop.close()
