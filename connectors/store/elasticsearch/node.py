"""The official client's connections to one address of Elasticsearch, with name look-ups of their
own.
"""

import asyncio

import aiohttp
from elastic_transport import AiohttpHttpNode

from connectors.http.resolving import OwnResolver


class Node(AiohttpHttpNode):
    """Stock, but a name that is never answered keeps no thread that brokers' names, or another
    node's, need.
    """

    def _create_aiohttp_session(self) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self.session = aiohttp.ClientSession(
            headers=self.headers,
            skip_auto_headers=("accept", "accept-encoding", "user-agent"),
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(
                limit_per_host=self._connections_per_node,
                resolver=OwnResolver(),
                ssl=self._ssl_context or False,
            ),
        )
