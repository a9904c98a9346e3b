"""What receivers of messages do."""

import asyncio
import ssl
from pathlib import Path
from typing import Final

import trustme
import yaml
from aiohttp import web

from tests.faults.scene import Scene
from tests.harness.exactness.disturbing import works
from tests.harness.exactness.inbox import Mood
from tests.harness.showing import BenchmarkFailed
from topology.supervision.ports import free_port

_LASTS_S: Final = 8.0
_LONG_LASTS_S: Final = 60.0
_SLOWLY_S: Final = 4.0


async def slow(scene: Scene) -> None:
    """Each answer takes seconds."""

    async def answer(request: web.Request) -> web.Response | None:
        await asyncio.sleep(_SLOWLY_S)
        return None

    await _behaves(scene, answer)


async def breaking_off(scene: Scene) -> None:
    """Connections are broken off, before a message is taken or just after."""
    rng = scene.rng

    async def answer(request: web.Request) -> web.Response | None:
        if request.transport is not None and rng.random() < 0.7:
            request.transport.abort()
            await asyncio.sleep(0)
            return web.Response(status=500) if rng.random() < 0.5 else None
        return None

    await _behaves(scene, answer)


async def redirecting(scene: Scene) -> None:
    """Somebody else is named, who must not be told; it is temporary, so that nothing is given
    up.
    """

    async def answer(request: web.Request) -> web.Response | None:
        return web.Response(
            status=503, headers={"Location": "http://127.0.0.1:1/", "Retry-After": "1"}
        )

    await _behaves(scene, answer)


async def of_another_name(scene: Scene) -> None:
    """The receiver shows a certificate of an unknown authority, then one of another name: nobody is
    told who may be somebody else.
    """
    known, unknown = trustme.CA(), trustme.CA()
    inbox, folder, port = scene.inbox, scene.group.folder, free_port()
    known.cert_pem.write_to_path(str(folder / "authority.pem"))
    await inbox.secure(port, _context(known, "127.0.0.1"))
    trusting = {"SSL_CERT_FILE": str(folder / "authority.pem")}
    before = scene.group.only("alert")
    heir = scene.group.add(
        "alert-tls", "alert", environment=trusting, config=_over_tls(scene.group.config, port)
    )
    await works(heir)
    await before.leave()
    for wrong in (_context(unknown, "127.0.0.1"), _context(known, "receiver.example")):
        await inbox.secure(port, wrong)
        told = len(inbox.posts)
        await scene.flow(0.1, _LONG_LASTS_S if scene.long else _LASTS_S)
        if len(inbox.posts) > told:
            raise BenchmarkFailed("somebody was told who showed a wrong certificate")
    await inbox.secure(port, _context(known, "127.0.0.1"))


def _context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def _over_tls(config: Path, port: int) -> Path:
    """The same settings, but that the receiver is reached by TLS."""
    sections = yaml.safe_load(config.read_text())
    for receiver in sections["alerting"]["receivers"]:
        receiver["url"] = f"https://127.0.0.1:{port}/"
    secured = config.with_name("sentinel-tls.yaml")
    secured.touch(mode=0o600)
    secured.write_text(yaml.safe_dump(sections))
    return secured


async def _behaves(scene: Scene, answer: Mood) -> None:
    scene.inbox.mood = answer
    try:
        await scene.flow(0.1, _LONG_LASTS_S if scene.long else _LASTS_S)
    finally:
        scene.inbox.mood = None
