"""`/healthz` and `/metrics`: how the bot is, for monitors on this machine. Nothing here is secret, and nothing is asked
outside.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any, TypeAlias

from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from bot.chat.health import Health, Report
from bot.contract.errors import ConfigError
from bot.web.listener import Listener

HOST = "127.0.0.1"
NO_LIBRARY = "Metrics need one more package. Run `pip install 'tradewire[metrics]'`, then start the bot again.\n"
_GUARD = [Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])]
"""A page in somebody's browser must not read this by giving 127.0.0.1 a name of its own."""

Family: TypeAlias = tuple[str, str, str, list[tuple[dict[str, str], int]]]
"""Name without the prefix, kind, what it tells, and its values by label."""


def routes(health: Health) -> list[BaseRoute]:
    """Return the routes: `/healthz` answers 200 when all is well and 503 when not; `/metrics` is for Prometheus."""

    async def healthz(_: Request) -> Response:
        report = await health.report()
        return JSONResponse({"ok": not report.problems, **asdict(report)}, status_code=503 if report.problems else 200)

    async def metrics(_: Request) -> Response:
        try:
            from prometheus_client import CONTENT_TYPE_LATEST
        except ImportError:
            return PlainTextResponse(NO_LIBRARY, status_code=501)
        return Response(exposition(await health.report()), headers={"content-type": CONTENT_TYPE_LATEST})

    return [Route("/healthz", healthz, middleware=_GUARD), Route("/metrics", metrics, middleware=_GUARD)]


@asynccontextmanager
async def opened(health: Health, port: int | None) -> AsyncIterator[None]:
    """Serve the routes on this machine's loopback address while the context is open; without a port, nothing.

    Raises:
        ConfigError: The port is taken.
    """
    if port is None:
        yield
        return
    listener = Listener(routes(health), host=HOST, port=port)
    try:
        await listener.__aenter__()
    except ConfigError as error:
        raise ConfigError(
            f"[health] port: {port} on {HOST} is taken. Stop the other program there, or choose another port."
        ) from error
    try:
        yield
    finally:
        await listener.__aexit__(None, None, None)


def exposition(report: Report) -> bytes:
    """Return a report in the text format of Prometheus."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector

    class Once(Collector):
        def collect(self) -> Iterator[Metric]:
            for name, kind, text, values in families(report):
                labels = list(values[0][0]) if values else []
                make: Any = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
                metric = make(f"tradewire_{name}", text, labels=labels)
                for labelled, value in values:
                    metric.add_metric(list(labelled.values()), value)
                yield metric

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Once())
    return generate_latest(registry)


def families(report: Report) -> Iterator[Family]:
    """Yield every figure of a report. One that is not known is left out: absent is not zero."""

    def one(value: int | None) -> list[tuple[dict[str, str], int]]:
        return [] if value is None else [({}, value)]

    def each(attribute: str) -> list[tuple[dict[str, str], int]]:
        found = ((row.id, getattr(row, attribute)) for row in report.exchanges)
        return [({"exchange": name}, value) for name, value in found if value is not None]

    stored = report.stored
    queues = [] if stored is None else [({"queue": name}, getattr(stored, name)) for name in ("inbox", "outbox")]
    yield "well", "gauge", "1 while polling and the database answer.", one(int(not report.problems))
    yield "up_seconds", "gauge", "Seconds since the start.", one(report.up_seconds)
    yield "poll_age_seconds", "gauge", "Seconds since Telegram last answered a poll.", one(report.heard_seconds)
    yield "commits", "counter", "Commits that changed something, since the start.", one(report.commits)
    yield "queue_length", "gauge", "Commands not handled and messages not sent yet.", queues
    yield "orders_live", "gauge", "Orders open at an exchange.", one(None if stored is None else stored.live)
    doubtful = None if stored is None else stored.doubtful
    yield "orders_unknown", "gauge", "Orders of which nobody knows whether they exist.", one(doubtful)
    yield "clock_offset_ms", "gauge", "The exchange's clock against ours.", each("clock_offset_ms")
    yield "limits_free_percent", "gauge", "What is left of the tightest request limit.", each("limits_free_percent")
    yield "streams", "gauge", "Accounts followed by sockets.", each("streams")
    yield "streams_open", "gauge", "Of these, how many are connected.", each("streams_open")
    yield "stream_age_seconds", "gauge", "Age of the oldest last sign of life.", each("heard_seconds")
