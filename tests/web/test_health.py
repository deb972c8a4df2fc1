from __future__ import annotations

import re
import socket
import sys
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from bot.chat.health import ExchangeReport, Report, Stored
from bot.contract.errors import ConfigError
from bot.web import health

WELL = Report(
    problems=(),
    up_seconds=61,
    heard_seconds=7,
    commits=12,
    stored=Stored(live=3, doubtful=1, outbox=2, inbox=4),
    exchanges=(ExchangeReport("acme", 38, 90, 2, 1, 5), ExchangeReport("acme:paper", None, 100)),
)
ILL = Report(("The database refuses; the log says why.",), 61, None, 0, None, ())


class Told:
    """A bot that is as the test says."""

    def __init__(self, report: Report) -> None:
        self._report = report

    async def report(self) -> Report:
        return self._report


async def get(path: str, report: Report = WELL, host: str = "127.0.0.1:8090") -> httpx.Response:
    told: Any = Told(report)
    transport = httpx.ASGITransport(Starlette(routes=health.routes(told)))
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
        return await client.get(path)


async def test_healthz_well_answers_200_with_every_figure() -> None:
    """A monitor reads the status; a person finds the rest."""
    reply = await get("/healthz")
    assert (reply.status_code, reply.json()) == (
        200,
        {
            "ok": True,
            "problems": [],
            "up_seconds": 61,
            "heard_seconds": 7,
            "commits": 12,
            "stored": {"live": 3, "doubtful": 1, "outbox": 2, "inbox": 4},
            "exchanges": [
                {
                    "id": "acme",
                    "clock_offset_ms": 38,
                    "limits_free_percent": 90,
                    "streams": 2,
                    "streams_open": 1,
                    "heard_seconds": 5,
                },
                {
                    "id": "acme:paper",
                    "clock_offset_ms": None,
                    "limits_free_percent": 100,
                    "streams": 0,
                    "streams_open": 0,
                    "heard_seconds": None,
                },
            ],
        },
    )


async def test_healthz_not_well_answers_503_with_the_reason() -> None:
    """The reason is a sentence."""
    reply = await get("/healthz", ILL)
    assert (reply.status_code, reply.json()["ok"], reply.json()["problems"]) == (503, False, list(ILL.problems))


@pytest.mark.parametrize("path", ["/healthz", "/metrics"])
async def test_route_under_another_name_is_refused(path: str) -> None:
    """A page in a browser that gave 127.0.0.1 a name of its own reads nothing."""
    assert (await get(path, host="rebound.example")).status_code == 400


def shown(text: str) -> dict[str, float]:
    return {name: float(value) for name, value in re.findall(r"^(tradewire_\S+) (\S+)$", text, re.MULTILINE)}


async def test_metrics_show_every_figure_and_leave_out_what_is_not_known() -> None:
    """Prometheus reads each figure with its exchange; a clock that was not measured is absent, not zero."""
    reply = await get("/metrics")
    assert (reply.status_code, reply.headers["content-type"].split(";")[0]) == (200, "text/plain")
    assert shown(reply.text) == {
        "tradewire_well": 1,
        "tradewire_up_seconds": 61,
        "tradewire_poll_age_seconds": 7,
        "tradewire_commits_total": 12,
        'tradewire_queue_length{queue="inbox"}': 4,
        'tradewire_queue_length{queue="outbox"}': 2,
        "tradewire_orders_live": 3,
        "tradewire_orders_unknown": 1,
        'tradewire_clock_offset_ms{exchange="acme"}': 38,
        'tradewire_limits_free_percent{exchange="acme"}': 90,
        'tradewire_limits_free_percent{exchange="acme:paper"}': 100,
        'tradewire_streams{exchange="acme"}': 2,
        'tradewire_streams{exchange="acme:paper"}': 0,
        'tradewire_streams_open{exchange="acme"}': 1,
        'tradewire_streams_open{exchange="acme:paper"}': 0,
        'tradewire_stream_age_seconds{exchange="acme"}': 5,
    }


async def test_metrics_of_a_bot_that_is_not_well_say_so() -> None:
    """They are answered with 200 all the same: a scrape that fails would hide what is wrong."""
    reply = await get("/metrics", ILL)
    assert (reply.status_code, shown(reply.text)) == (
        200,
        {"tradewire_well": 0, "tradewire_up_seconds": 61, "tradewire_commits_total": 0},
    )


async def test_metrics_without_the_library_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is optional; the answer is the remedy."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    reply = await get("/metrics")
    assert (reply.status_code, reply.text) == (501, health.NO_LIBRARY)


@pytest.mark.network
async def test_opened_on_a_port_answers_on_loopback_alone_and_ends() -> None:
    """The routes are there while the context is open."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told: Any = Told(WELL)
    async with health.opened(told, port), httpx.AsyncClient() as client:
        reply = await client.get(f"http://127.0.0.1:{port}/healthz")
    assert reply.status_code == 200
    with pytest.raises(ConnectionRefusedError), socket.socket() as gone:
        gone.connect(("127.0.0.1", port))


@pytest.mark.network
async def test_opened_on_a_taken_port_names_its_own_key() -> None:
    """The sentence speaks of [health], where the port was set."""
    told: Any = Told(WELL)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"\[health\] port: {port} on 127.0.0.1 is taken") as caught:
            async with health.opened(told, port):
                pass
    assert "choose another port" in str(caught.value)


async def test_opened_without_a_port_listens_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Off by default."""
    monkeypatch.setattr(health, "Listener", None)
    told: Any = Told(WELL)
    async with health.opened(told, None):
        pass
