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
_HEADER = re.compile(r"[A-Za-z0-9-]+: [\x20-\x7e]*")
_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class HttpWire:
    """HTTP/1.1: no redirects, no retries, no cookies, no proxies from the environment.

    Orders travel on connections that answered a moment ago or are new: an older one may die exactly while an order is
    being written, and then nobody can tell whether it arrived.

    Args:
        title: The exchange, for error texts.
        origins: Host name to origin, such as `{"api": "https://api.acme.example"}`.
        local_address: Source address, or `None` for the system's choice.
        proxy: Proxy URL, or `None`. Through one, httpx does the work: slower, and all it knows of proxies.
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
        urls = {name: httpx.URL(origin) for name, origin in origins.items()}
        self._way: _Direct | _Httpx
        if transport is not None:
            self._way = _Httpx(urls, transport, transport)
        elif proxy is not None:
            reads, orders = (_proxied(kept, local_address, proxy) for kept in (10, 0))
            self._way = _Httpx(urls, reads, orders)
        else:
            self._way = _Direct(urls, Connections(tls_context(), local_address=local_address))

    async def send(self, request: Request, *, timeout_seconds: float) -> Response:
        """Send it, once. See `Wire`."""
        headers = {"accept": "application/json", "user-agent": "tradewire", **request.headers}
        try:
            self._check(request, headers)
            return await self._way.send(request, headers, timeout_seconds)
        except NotSent:
            raise
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

    async def close(self) -> None:
        """Let go of every connection."""
        await self._way.close()

    def _check(self, request: Request, headers: Mapping[str, str]) -> None:
        """Refuse what could only be sent changed: it would no longer be what was signed and what was allowed."""
        target = request.target
        lines = (f"{name}: {value}" for name, value in headers.items())
        if not _TARGET.fullmatch(target) or _DOTS.search(target) or not all(map(_HEADER.fullmatch, lines)):
            text = f"the {self._title} plugin made a request that cannot be sent as it was signed"
            raise NotSent(text, code="UNSENDABLE")


class _Direct:
    """Bytes over kept connections."""

    def __init__(self, urls: Mapping[str, httpx.URL], connections: Connections) -> None:
        self._connections = connections
        spoken = {name: url for name, url in urls.items() if url.scheme in ("http", "https")}  # the others are sockets
        self._hosts = {name: (connections.server(url), url.netloc.decode()) for name, url in spoken.items()}

    async def send(self, request: Request, headers: Mapping[str, str], seconds: float) -> Response:
        server, host = self._hosts[request.host]
        body = request.body
        lines = [f"{request.method} {request.target} HTTP/1.1\r\nHost: {host}\r\n"]
        lines += [f"{name}: {value}\r\n" for name, value in headers.items()]
        if body or request.method != "GET":
            lines.append(f"Content-Length: {len(body)}\r\n")
        lines.append("\r\n")
        message = "".join(lines).encode("ascii") + body
        limits = {"connect": seconds, "pool": seconds, "read": seconds}
        status, found, content = await self._connections.exchange(server, message, limits, fresh=request.places)
        told = {name.decode("latin-1"): value.decode("latin-1") for name, value in found}
        if "content-encoding" in told:
            content = httpx.Response(status, headers=found, content=content).content
        return Response(status, told, content)

    async def close(self) -> None:
        await self._connections.aclose()


class _Httpx:
    """Through transports of httpx, which reads and orders do not share."""

    def __init__(
        self, urls: Mapping[str, httpx.URL], reads: httpx.AsyncBaseTransport, orders: httpx.AsyncBaseTransport
    ) -> None:
        self._urls, self._reads, self._orders = urls, reads, orders

    async def send(self, request: Request, headers: Mapping[str, str], seconds: float) -> Response:
        limits = dict.fromkeys(("connect", "read", "write", "pool"), seconds)
        # The target as it was signed: httpx would encode another one anew.
        extensions = {"target": request.target.encode(), "timeout": limits}
        url = self._urls[request.host]
        message = httpx.Request(request.method, url, headers=headers, content=request.body, extensions=extensions)
        transport = self._orders if request.places else self._reads
        async with asyncio.timeout(2 * seconds):  # httpx counts each byte's wait anew
            reply = await transport.handle_async_request(message)
            try:
                await reply.aread()
            finally:
                await reply.aclose()
        return Response(
            reply.status_code, {name.lower(): value for name, value in reply.headers.items()}, reply.content
        )

    async def close(self) -> None:
        await self._reads.aclose()
        await self._orders.aclose()


def _proxied(kept: int, local_address: str | None, proxy: str) -> httpx.AsyncHTTPTransport:
    limits = httpx.Limits(max_connections=20, max_keepalive_connections=kept)
    return httpx.AsyncHTTPTransport(verify=tls_context(), limits=limits, local_address=local_address, proxy=proxy)


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Return the one context of all connections: reading the certificates of the world takes 18 ms and 0.8 MB."""
    return httpx.create_ssl_context()
