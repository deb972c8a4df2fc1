"""The way in for hooks: who sends, which hook, how much; 200 once the alert is on the disk, and work afterwards."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bot.clock import Clock
from bot.config import HookSettings
from bot.signals import alert, hooks, senders
from bot.signals.alert import MOST_BYTES, Unreadable
from bot.signals.hooks import PATH, WHY, Verdict
from bot.store.database import Connection, Store

log = logging.getLogger(__name__)


def routes(settings: HookSettings, store: Store, clock: Clock, taken: Callable[[], None]) -> list[Route]:
    """Return the route to which alerts are posted.

    A sender that may not send, or whose path opens nothing, gets 404 before its body is read. An alert that came
    before, or is too old, gets 200 as well: sending it again would not help. One that says too little gets 400.

    Args:
        settings: Who may send, and how much at once.
        store: Where alerts are kept.
        clock: Ours.
        taken: Called after an alert was committed.
    """

    async def receive(request: Request) -> Response:
        token: str = request.path_params["token"]
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
        peer = request.client.host if request.client else ""
        if not senders.may_send(settings, peer, headers):
            return Response(status_code=404)
        try:
            if await store.run(lambda db: hooks.by_token(db, token)) is None:
                return Response(status_code=404)
            read = alert.read(await _body(request))

            def take(db: Connection) -> Verdict | None:
                return hooks.take(db, token, read, clock.now_ms(), burst=settings.burst)

            verdict = await store.run(take)
        except Unreadable as error:
            return PlainTextResponse(str(error), status_code=400)
        except sqlite3.Error:
            log.exception("an alert could not be stored; its sender is asked to send it again")
            return Response(status_code=503)
        if verdict is None:
            return Response(status_code=404)
        taken()
        log.info("an alert came in: %s", verdict)
        if verdict == "undated":
            return PlainTextResponse(WHY[verdict], status_code=400)
        return PlainTextResponse(verdict)

    return [Route(PATH + "{token}", receive, methods=["POST"])]


async def _body(request: Request) -> bytes:
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or int(announced[:20]) > MOST_BYTES:
        raise HTTPException(413)
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise HTTPException(413)
    return bytes(body)
