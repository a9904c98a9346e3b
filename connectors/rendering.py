"""A message becomes what one service takes, or an answer that says why it cannot."""

from collections.abc import Callable
from typing import Any, Final

from connectors.http.answers import ReceiverAnswer
from schemas.messages import Message, parse
from schemas.parts import BadMessage

_WRONG_SHAPE: Final = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
"""What rendering raises for values that nobody thought of."""


def rendered(
    body: bytes, render: Callable[[Message], dict[str, Any]]
) -> dict[str, Any] | ReceiverAnswer:
    """What `render` makes of a message's body, or the outcome for one that it can make nothing of.

    Rendering is a pure function: what fails for a message once fails for it at every attempt and
    every start. So that costs this message, which is given up, and not the pager of every tenant;
    the log has the traceback.
    """
    try:
        return render(parse(body))
    except BadMessage as fault:
        return ReceiverAnswer(fault=str(fault), unrenderable=True)
    except _WRONG_SHAPE as fault:
        # Not before it is needed: it takes half a second to import.
        import structlog

        structlog.get_logger("sentinel.alert").error("notification.not_rendered", exc_info=fault)
        return ReceiverAnswer(
            fault=f"{type(fault).__name__} while it was rendered", unrenderable=True
        )
