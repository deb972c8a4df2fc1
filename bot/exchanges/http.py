"""Requests over HTTP, as the driver of flows sends them."""

from __future__ import annotations

import asyncio
import functools
import re
import ssl
from collections.abc import Mapping

import httpx

from bot.contract.errors import NotSent, OutcomeUnknown
from bot.contract.wire import Request, Response
from bot.exchanges.connections import Connections

_TARGET = re.compile(r"/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*(\?[A-Za-z0-9\-._~!$&'()*+,;=:@%/?]*)?")
_DOTS = re.compile(r"^[^?]*/\.{1,2}(/|\?|$)")
_BREAK = re.compile(r"[\r\n\0]")
_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class HttpWire:
    """HTTP/1.1 through httpx: no redirects, no retries, no cookies, no proxies from the environment.

    Orders travel on connections that answered a moment ago or are new: an older one may die exactly while an order is
    being written, and then nobody can tell whether it arrived.

    Args:
        title: The exchange, for error texts.
        origins: Host name to origin, such as `{"api": "https://api.acme.example"}`.
        local_address: Source address, or `None` for the system's choice.
        proxy: Proxy URL, or `None`.
        transport: Replaces the network in tests.
    """

    def __init__(
        self,
        title: str,
        origins: Mapping[str, str],
        *,
        local_address: str | None = None,
        proxy: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._title = title
        self._origins = {name: httpx.URL(origin) for name, origin in origins.items()}
        verify = _verified()

        def proxied(keepalive: int) -> httpx.AsyncBaseTransport:
            limits = httpx.Limits(max_connections=20, max_keepalive_connections=keepalive)
            return httpx.AsyncHTTPTransport(verify=verify, limits=limits, local_address=local_address, proxy=proxy)

        self._reads: httpx.AsyncBaseTransport
        self._orders: httpx.AsyncBaseTransport
        if transport is None and proxy is not None:
            self._reads, self._orders = proxied(keepalive=10), proxied(keepalive=0)
        else:
            self._reads = self._orders = transport or Connections(verify, local_address=local_address)

    async def send(self, request: Request, *, timeout_seconds: float) -> Response:
        """Send it, once. See `Wire`."""
        transport = self._orders if request.places else self._reads
        message = self._message(request, timeout_seconds)
        try:
            async with asyncio.timeout(2 * timeout_seconds):  # httpx counts each byte's wait anew
                reply = await transport.handle_async_request(message)
                try:
                    await reply.aread()
                finally:
                    await reply.aclose()
        except _NEVER_LEFT as error:
            raise NotSent(
                f"{self._title} cannot be reached",
                code="UNREACHABLE",
                remedy="Try again in a moment.",
                detail=type(error).__name__,
                transient=True,
            ) from error
        except Exception as error:
            text = f"{self._title} did not answer"
            raise OutcomeUnknown(text, code="NO_ANSWER", detail=type(error).__name__, transient=True) from error
        return Response(
            reply.status_code, {name.lower(): value for name, value in reply.headers.items()}, reply.content
        )

    async def close(self) -> None:
        """Let go of every connection."""
        await self._reads.aclose()
        await self._orders.aclose()

    def _message(self, request: Request, timeout_seconds: float) -> httpx.Request:
        """Return the request with its target as it was signed: httpx would encode another one anew."""
        target = request.target
        try:
            if (
                not _TARGET.fullmatch(target)
                or _DOTS.search(target)
                or any(map(_BREAK.search, request.headers.values()))
            ):
                raise ValueError("the request would have to be changed to be sent")
            return httpx.Request(
                request.method,
                self._origins[request.host],
                headers={"accept": "application/json", "user-agent": "tradewire", **request.headers},
                content=request.body,
                extensions={
                    "target": target.encode(),
                    "fresh": request.places,
                    "timeout": dict.fromkeys(("connect", "read", "write", "pool"), timeout_seconds),
                },
            )
        except ValueError as error:
            text = f"the {self._title} plugin made a request that cannot be sent as it was signed"
            raise NotSent(text, code="UNSENDABLE", detail=type(error).__name__) from error


@functools.cache
def _verified() -> ssl.SSLContext:
    """Return the one context of all exchanges: reading the certificates of the world takes 18 ms and 0.8 MB."""
    return httpx.create_ssl_context()
