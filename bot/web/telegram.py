"""Telegram's updates by webhook: the secret first, in constant time, then the body, and 200 when it is on the disk.

Source: https://core.telegram.org/bots/api#setwebhook (read 2026-11-21). Telegram repeats an update until it is answered
with 200, and sends the secret in the header `X-Telegram-Bot-Api-Secret-Token`.
"""

from __future__ import annotations

import hmac
import json
import logging
import sqlite3

from pydantic import SecretStr
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from bot.chat.webhook import Accept
from bot.config import LEAST_SECRET
from bot.contract.errors import ConfigError

log = logging.getLogger(__name__)
HEADER = "x-telegram-bot-api-secret-token"


def routes(secret: SecretStr, path: str, accept: Accept) -> list[Route]:
    """Return the route to which Telegram posts updates.

    Args:
        secret: What every request must carry in its header.
        path: Of the URL that Telegram was given.
        accept: Commits one update, given as the object that Telegram sent.

    Raises:
        ConfigError: The secret is missing or too short.
    """
    expected = secret.get_secret_value().encode()
    if len(expected) < LEAST_SECRET:
        raise ConfigError(f"[telegram] webhook_secret: at least {LEAST_SECRET} characters are needed.")

    async def receive(request: Request) -> Response:
        given = request.headers.getlist(HEADER)
        if len(given) != 1 or not hmac.compare_digest(given[0].encode("latin-1"), expected):
            return Response(status_code=401, headers={"Connection": "close"})
        try:
            update = json.loads(await request.body())
        except (ValueError, RecursionError, ClientDisconnect):
            return Response(status_code=400)
        if not isinstance(update, dict):
            return Response(status_code=400)
        try:
            await accept(update)
        except sqlite3.Error:
            log.exception("an update could not be stored; Telegram keeps it and sends it again")
            return Response(status_code=503)
        return Response(status_code=200)

    return [Route(path, receive, methods=["POST"])]
