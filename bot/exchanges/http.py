"""Requests over HTTP, as the driver of flows sends them."""

from __future__ import annotations

import asyncio
import functools
import re
import ssl
from collections.abc import Iterator, Mapping

import httpx

from bot.contract.errors import NotSent, OutcomeUnknown
from bot.contract.wire import Request, Response
from bot.exchanges.connections import Connections

_PATH = re.compile(r"/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*")
_QUERY = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:@%/?]*")
_DOTS = re.compile(r"/\.{1,2}(/|$)")
_NAME = re.compile(r"[A-Za-z0-9-]+")
_OURS = {"accept": "application/json", "user-agent": "tradewire"}
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
        try:
            self._check(request)
            return await self._way.send(request, timeout_seconds)
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

    def _check(self, request: Request) -> None:
        """Refuse what could only be sent changed: it would no longer be what was signed and what was allowed."""
        headers = request.headers
        values = "".join(map(str, headers.values()))
        if not (
            _is_plain_path(request.path)
            and (not request.query or _QUERY.fullmatch(request.query_text))
            and _are_plain_names(tuple(headers))
            and values.isascii()
            and values.isprintable()
        ):
            text = f"the {self._title} plugin made a request that cannot be sent as it was signed"
            raise NotSent(text, code="UNSENDABLE")


@functools.lru_cache(maxsize=1024)
def _is_plain_path(path: str) -> bool:
    return _PATH.fullmatch(path) is not None and _DOTS.search(path) is None


@functools.lru_cache(maxsize=256)
def _are_plain_names(names: tuple[str, ...]) -> bool:
    return all(map(_NAME.fullmatch, names))


@functools.lru_cache(maxsize=256)
def _lines(names: tuple[str, ...]) -> str:
    """Return the lines of headers with a `%s` for each value of a plugin's; ours come first, unless it set them."""
    ours = [f"{name}: {value}\r\n" for name, value in _OURS.items() if name not in names]
    return "".join([*ours, *(f"{name}: %s\r\n" for name in names)])


@functools.lru_cache(maxsize=16)
def _limits(seconds: float) -> Mapping[str, float | None]:
    return {"connect": seconds, "pool": seconds, "read": seconds}


class _Headers(Mapping[str, str]):
    """A reply's headers, decoded when somebody asks: there are twenty of them, and hardly one is ever read."""

    __slots__ = ("_found",)

    def __init__(self, found: Mapping[bytes, bytes]) -> None:
        self._found = found

    def __getitem__(self, name: str) -> str:
        return self._found[name.encode("latin-1", "replace")].decode("latin-1")

    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        return repr(dict(self))


class _Direct:
    """Bytes over kept connections."""

    def __init__(self, urls: Mapping[str, httpx.URL], connections: Connections) -> None:
        self._connections = connections
        spoken = {name: url for name, url in urls.items() if url.scheme in ("http", "https")}  # the others are sockets
        self._hosts = {
            name: (connections.server(url), f" HTTP/1.1\r\nHost: {url.netloc.decode()}\r\n")
            for name, url in spoken.items()
        }

    async def send(self, request: Request, seconds: float) -> Response:
        server, version_and_host = self._hosts[request.host]
        headers, body = request.headers, request.body
        lines = _lines(tuple(headers)) % tuple(headers.values())
        length = f"Content-Length: {len(body)}\r\n" if body or request.method != "GET" else ""
        head = f"{request.method} {request.target}{version_and_host}{lines}{length}\r\n"
        status, found, content = await self._connections.exchange(
            server, head.encode("ascii") + body, _limits(seconds), fresh=request.places
        )
        told = dict(found)
        if b"content-encoding" in told:
            content = httpx.Response(status, headers=found, content=content).content
        return Response(status, _Headers(told), content)

    async def close(self) -> None:
        await self._connections.aclose()


class _Httpx:
    """Through transports of httpx, which reads and orders do not share."""

    def __init__(
        self, urls: Mapping[str, httpx.URL], reads: httpx.AsyncBaseTransport, orders: httpx.AsyncBaseTransport
    ) -> None:
        self._urls, self._reads, self._orders = urls, reads, orders

    async def send(self, request: Request, seconds: float) -> Response:
        headers = {**_OURS, **request.headers}
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
