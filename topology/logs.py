"""Logs: one JSON object a line on standard error, in ECS names, cut at 2 kB."""

import logging
from collections.abc import MutableMapping
from typing import Any, Final

import structlog
from structlog.typing import EventDict

from schemas.redacting import redacted
from schemas.telemetry.quiet import STDERR

MOST_BYTES: Final = 2048
"""A text in a log line is cut so that no line is much longer than this, bytes."""

_ECS: Final = {
    "event": "message",
    "level": "log.level",
    "logger": "log.logger",
    "timestamp": "@timestamp",
}


def log_for(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of this name."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger


def configure(level: str) -> None:
    """Set up structlog and the standard library's logging in the same way.

    To be called once, at the entry of a process.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _hide_secrets,
        _cut,
        _in_ecs_names,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(STDERR)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
            foreign_pre_chain=shared,
        )
    )
    # Libraries log warnings only; `level` is for our own loggers.
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("sentinel").setLevel(level.upper())


def _hide_secrets(logger: Any, method: str, fields: EventDict) -> EventDict:
    for key, value in fields.items():
        if isinstance(value, str):
            fields[key] = redacted(value)
    return fields


def _cut(logger: Any, method: str, fields: EventDict) -> EventDict:
    for key, value in fields.items():
        if isinstance(value, str) and len(value) > MOST_BYTES:
            fields[key] = shortened(value)
    return fields


def shortened(text: str) -> str:
    """The beginning of a long text and its last line, which names the error of a traceback.

    >>> shortened("Traceback:\\n" + "  File ...\\n" * 1000 + "ValueError: no").splitlines()[-1]
    'ValueError: no'
    """
    above, _, last = text.rstrip().rpartition("\n")
    if not above:
        return text[:MOST_BYTES] + "…"
    last = last[: MOST_BYTES // 2]
    return f"{text[: MOST_BYTES - len(last)]}…\n{last}"


def _in_ecs_names(logger: Any, method: str, fields: EventDict) -> MutableMapping[str, Any]:
    return {
        _ECS.get(key, key if key.startswith("_") else f"sentinel.{key}"): value
        for key, value in fields.items()
    }
