"""What the API says of itself on `/metrics`: requests by route and status, how long they take, and
pages that follow changes.
"""

import time
from typing import Final

from aiohttp import web
from prometheus_client import generate_latest

from streams import metrics
from topology.api.live import LIVE
from topology.api.problems import Handler

PATH: Final = "/metrics"

_OTHER: Final = "other"
"""Label of all paths that lead nowhere: strangers must not make series."""


@web.middleware
async def metered(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Counts and times every answer. A WebSocket counts when it ends, and is not timed."""
    started = time.perf_counter()
    response = await handler(request)
    resource = request.match_info.route.resource
    route = _OTHER if resource is None else resource.canonical
    metrics.API_REQUESTS.labels(route, str(response.status)).inc()
    if not isinstance(response, web.WebSocketResponse):
        metrics.API_SECONDS.labels(route).observe(time.perf_counter() - started)
    return response


async def scraped(request: web.Request) -> web.Response:
    """All metrics of this process."""
    metrics.API_LIVE_CLIENTS.set(request.app[LIVE].clients)
    return web.Response(body=generate_latest(metrics.REGISTRY), content_type="text/plain")
