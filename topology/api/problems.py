"""What went wrong, as RFC 9457 (application/problem+json) has it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus

import orjson
import structlog
from aiohttp import web

from connectors.store.port import BadSearch
from schemas.documents import StoreRefused, StoreUnavailable

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = structlog.get_logger("sentinel.api")


class Problem(Exception):
    """A request that is not answered as asked. `errors` names parameters, each with what is wrong
    with it.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors, self.headers = status, detail, errors, headers or {}

    def response(self) -> web.Response:
        """It, for the client."""
        body: dict[str, object] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            body["errors"] = list(self.errors)
        return web.Response(
            status=self.status,
            body=orjson.dumps(body),
            content_type="application/problem+json",
            headers=dict(self.headers),
        )


@web.middleware
async def as_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error leaves as a problem; one that nobody foresaw says nothing of the inside."""
    try:
        return await handler(request)
    except Problem as problem:
        return problem.response()
    except BadSearch as fault:
        return Problem(400, str(fault)).response()
    except StoreUnavailable as fault:
        _log.warning("api.store_unavailable", reason=str(fault))
        return Problem(
            503, "the store does not answer; try again", headers={"Retry-After": "5"}
        ).response()
    except StoreRefused as fault:
        _log.error("api.store_refused", reason=str(fault))
        return Problem(503, "the store cannot be used as it is; the log says why").response()
    except web.HTTPException as error:
        allowed = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return Problem(
            error.status,
            f"{request.method} {request.path}: {error.reason.lower()}",
            headers=allowed,
        ).response()
    except ConnectionError as error:
        if not _has_left(request):
            return _bug(request, error)
        return Problem(400, "the client left before its answer").response()
    except Exception as error:  # noqa: BLE001 - a process edge: one request failed, and the server serves the others
        return _bug(request, error)


def _bug(request: web.Request, error: Exception) -> web.Response:
    _log.exception("api.bug", path=request.path, error=type(error).__name__)
    return Problem(500, "a defect of Sentinel; the log says where, please report it").response()


def _has_left(request: web.Request) -> bool:
    """Whether the client's connection is gone: what cannot be read from it or written to it is no
    defect.
    """
    return request.transport is None or request.transport.is_closing()
