"""Rendering of a message for one service, with its failure as an answer."""

from collections.abc import Callable
from typing import Any, Final

from connectors.http.answers import ReceiverAnswer
from schemas.messages.message import Message, parse
from schemas.messages.parts import BadMessage

_WRONG_SHAPE: Final = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
"""Exceptions of rendering for values that nobody thought of."""


def rendered(
    body: bytes, render: Callable[[Message], dict[str, Any]]
) -> dict[str, Any] | ReceiverAnswer:
    """Render a message's body; returns an unrenderable answer where that fails.

    Rendering is a pure function: a message that fails once fails at every attempt and every start.
    So it costs this message, which is given up, and not the worker that pages every tenant; the log
    has the traceback.
    """
    try:
        return render(parse(body))
    except BadMessage as fault:
        return ReceiverAnswer(fault=str(fault), unrenderable=True)
    except _WRONG_SHAPE as fault:
        # Not before it is needed: importing takes half a second.
        import structlog

        structlog.get_logger("sentinel.alert").error("notification.not_rendered", exc_info=fault)
        return ReceiverAnswer(
            fault=f"{type(fault).__name__} while it was rendered", unrenderable=True
        )
