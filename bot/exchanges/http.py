"""Requests over HTTP. The only importer of httpx in the core."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import httpx

from bot.contract.errors import NotSent, OutcomeUnknown
from bot.contract.wire import Request, Response

_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class HttpWire:
    """HTTP/1.1 through httpx: no redirects, no retries, no cookies, no proxies from the environment.

    Orders travel on connections of their own that are never reused: a kept connection may die exactly while an order
    is being written, and then nobody can tell whether it arrived.

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
        context = httpx.create_ssl_context()

        def client(keepalive: int) -> httpx.AsyncClient:
            limits = httpx.Limits(max_connections=20, max_keepalive_connections=keepalive)
            own = transport or httpx.AsyncHTTPTransport(
                verify=context, limits=limits, local_address=local_address, proxy=proxy
            )
            return httpx.AsyncClient(transport=own, trust_env=False, follow_redirects=False)

        self._reads, self._orders = client(keepalive=10), client(keepalive=0)

    async def send(self, request: Request, *, timeout_seconds: float) -> Response:
        """Send it, once. See `Wire`."""
        client = self._orders if request.places else self._reads
        message = self._message(request, timeout_seconds)
        try:
            async with asyncio.timeout(2 * timeout_seconds):  # httpx counts each byte's wait anew
                reply = await client.send(message)
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
        target = request.target.encode()
        try:
            url = self._origins[request.host].copy_with(raw_path=target)
            if url.raw_path != target:
                raise ValueError("httpx would send another target than the one that was signed")
            return httpx.Request(
                request.method,
                url,
                headers={"accept": "application/json", "user-agent": "tradewire", **request.headers},
                content=request.body,
                extensions={"timeout": httpx.Timeout(timeout_seconds).as_dict()},
            )
        except (ValueError, httpx.InvalidURL) as error:
            text = f"the {self._title} plugin made a request that cannot be sent as it was signed"
            raise NotSent(text, code="UNSENDABLE", detail=type(error).__name__) from error
