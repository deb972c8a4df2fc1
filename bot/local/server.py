"""The local Telegram on a loopback port, inside the running event loop."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware

from bot.local import api, page
from bot.local.telegram import LocalTelegram

HOST = "127.0.0.1"


def build_app(
    telegram: LocalTelegram,
    token: str,
    *,
    port: int,
    secret: str,
    suggestions: Mapping[str, Sequence[str]] = page.SUGGESTIONS,
) -> Starlette:
    """Return Bot API and chat page as one ASGI application that answers to this port's loopback names only."""
    return Starlette(
        routes=[*api.routes(telegram, token), *page.routes(telegram, secret, suggestions)],
        middleware=[Middleware(page.Guard, hosts=[f"{HOST}:{port}", f"localhost:{port}"])],
    )


class LocalServer:
    """Serve a `LocalTelegram` while the context is open.

    Attributes:
        base_url: For `telegram.Bot(base_url=...)`.
        base_file_url: For `telegram.Bot(base_file_url=...)`.
        page_url: The chat page; whoever has it can act as anybody there.

    Args:
        telegram: The state; it outlives the server.
        token: The one bot's token.
        port: 0 takes any free port.
        suggestions: Texts offered on the page for the first click, for chats of kind `private` and `group`.
    """

    def __init__(
        self,
        telegram: LocalTelegram,
        token: str,
        port: int = 0,
        *,
        suggestions: Mapping[str, Sequence[str]] = page.SUGGESTIONS,
    ) -> None:
        self._telegram = telegram
        self._token = token
        self._port = port
        self._suggestions = suggestions

    async def __aenter__(self) -> Self:
        listener = socket.socket(proto=socket.IPPROTO_TCP)  # named, or asyncio leaves Nagle's delay of 40 ms on
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, self._port))
        port, secret = listener.getsockname()[1], secrets.token_urlsafe(16)
        origin = f"http://{HOST}:{port}"
        self.base_url, self.base_file_url = f"{origin}/bot", f"{origin}/file/bot"
        self.page_url = f"{origin}/{secret}/"
        self._telegram.open()
        app = build_app(self._telegram, self._token, port=port, secret=secret, suggestions=self._suggestions)
        self._server = _Server(
            uvicorn.Config(
                app,
                access_log=False,
                lifespan="off",
                log_config=None,
                log_level="warning",
                server_header=False,
                timeout_graceful_shutdown=1,
                ws="none",
            )
        )
        self._task = asyncio.create_task(self._server.serve([listener]))
        await self._server.ready.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Long polls and event streams would otherwise hold their connections open.
        self._telegram.close()
        self._server.should_exit = True
        await self._task


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the program around us."""
        yield
