"""Telegram's side of a webhook: brings what waits to the address that the bot gave, until it answers with 200."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from bot.local.telegram import LocalTelegram

SECRET = "e2e-webhook-secret-0123456789-abcdef"


def webhook() -> dict[str, dict[str, Any]]:
    """Return the sections of a configuration with a webhook on a port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/telegram"
    return {
        "telegram": {"mode": "webhook", "webhook_url": url, "webhook_secret": SECRET},
        "web": {"port": port},
    }


class Postman:
    """Posts updates while the context is open and a webhook is set. Those not answered with 200 are brought again."""

    def __init__(self, telegram: LocalTelegram) -> None:
        self._telegram = telegram
        self.delivered = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._rounds())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _rounds(self) -> None:
        offset = 0
        while True:
            await self._telegram.wait(lambda telegram: telegram.webhook, 600)
            options = [call for name, call in self._telegram.calls if name == "setWebhook"][-1]
            for update in await self._telegram.take_updates(offset, 100, 1, set(options["allowed_updates"])):
                if not await _brought(options["url"], options["secret_token"], update):
                    await asyncio.sleep(0.02)
                    break
                offset = update["update_id"] + 1
                self.delivered += 1


async def _brought(url: str, secret: str, update: dict[str, Any]) -> bool:
    """Post one update, without a task of its own: `Desk.kill` ends every task that is the bot's."""
    place, body = urlsplit(url), json.dumps(update).encode()
    head = f"POST {place.path} HTTP/1.1\r\nHost: bot\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
    head += f"X-Telegram-Bot-Api-Secret-Token: {secret}\r\n\r\n"
    try:
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
    except OSError:
        return False
    try:
        async with asyncio.timeout(2):
            writer.write(head.encode() + body)
            return (await reader.read()).startswith(b"HTTP/1.1 200 ")
    except OSError:  # TimeoutError is one, too
        return False
    finally:
        writer.close()
