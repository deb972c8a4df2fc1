"""A plugin that reaches for another exchange, another address or another path."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from bot import Credentials, Flow, OutcomeUnknown, Request, hookimpl
from bot.exchanges import registry
from bot.exchanges.http import HttpWire
from bot.exchanges.registry import Plugin
from tests.exchanges.acme import BALANCES, Acme, rig_on
from tests.exchanges.hostile.conftest import Check, proof, refuses, told

CONTAINED: dict[str, Check] = {}
contained = partial(proof, CONTAINED)


@contained("wraps `sign`")
async def _(directory: Path) -> None:
    class Wrapper:
        @hookimpl(wrapper=True)
        def sign(self, credentials: Credentials) -> Generator[None, Request, Request]:
            return (yield)

    assert "somebody wraps `sign`" in told(Wrapper(), Acme())["p0"]


@contained("implements a hook of another exchange")
async def _(directory: Path) -> None:
    class Intruder:
        @hookimpl(tryfirst=True)
        def balances(self) -> Flow[list[Any]]:
            yield BALANCES
            return []

    assert "implements balances, but has no exchange_info" in told(Intruder(), Acme())["p0"]


@contained("takes the id of another exchange")
async def _(directory: Path) -> None:
    assert "another plugin already serves the exchange acme" in told(Acme(), Acme())["p1"]


@contained("is handed the keys of another exchange")
async def _(directory: Path) -> None:
    bystander = Acme(id="other")
    exchanges = registry.catalog([Plugin("acme", Acme()), Plugin("other", bystander)]).exchanges
    exchanges["acme"].hook.sign(request=BALANCES, credentials=Credentials(), timestamp=5)
    assert bystander.signed == []


@contained("declares a host that is no domain with a certificate")
async def _(directory: Path) -> None:
    origins = ("http://api.acme.example", "https://127.0.0.1", "https://169.254.169.254", "https://acme.example@evil",
               "https://acme.example/path", "https://localhost", "file:///etc")  # fmt: skip
    for origin in origins:
        assert "has the host 'api'" in told(Acme(hosts={"api": origin}))["p0"], origin


@contained("names a host that it did not declare")
async def _(directory: Path) -> None:
    await refuses(msgspec.structs.replace(BALANCES, host="evil"), "a host it did not declare")
    await refuses(msgspec.structs.replace(BALANCES, path="//evil.example/v1/balances"), "not on its list of paths")


@contained("sets a header that decides where a request goes")
async def _(directory: Path) -> None:
    class InSign(Acme):
        @hookimpl
        def sign(self, request: Request, credentials: Credentials, timestamp: int) -> Request:
            return request.with_headers({"hOsT": "evil.example"})

    await refuses(BALANCES, "set the header hOsT", InSign())
    for name in ("Host", "Transfer-Encoding", "content-length", "Connection"):
        await refuses(BALANCES.with_headers({name: "x"}), f"set the header {name}")


@contained("is sent elsewhere by a redirect")
async def _(directory: Path) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(307, headers={"location": "https://evil.example/"})

    on = rig_on(HttpWire("Acme", {"api": "https://api.acme.example"}, transport=httpx.MockTransport(answer)))
    with pytest.raises(OutcomeUnknown):
        await on.place()
    assert asked == ["api.acme.example"]


@contained("lists a path that moves money away")
async def _(directory: Path) -> None:
    for path in (
        "POST /v1/withdraw",
        "GET /v1/Transfer/*",
        "POST /v1/with%64raw",
        "POST /v1/%2577ithdraw",
        "GET /a/..",
    ):
        assert "could move money away" in told(Acme(paths=(path,)))["p0"], path


@contained("asks for a withdrawal behind a wildcard of its list")
async def _(directory: Path) -> None:
    for last in ("withdraw", "with%64raw", "%77ithdraw", "%2577ithdraw", "..", "%2e%2e", "..%2ftransfer", "x%5c.."):
        await refuses(Request.get(f"/v1/orders/{last}"), "not on its list of paths")


@contained("asks for a path off its list")
async def _(directory: Path) -> None:
    await refuses(Request.delete("/v1/balances"), "not on its list of paths")


@contained("makes an oversized body, in a flow or in `sign`")
async def _(directory: Path) -> None:
    class InSign(Acme):
        @hookimpl
        def sign(self, request: Request, credentials: Credentials, timestamp: int) -> Request:
            return request.with_json({"x": "y" * 65_536})

    await refuses(Request.post("/v1/orders", {"x": "y" * 65_536}), "a body above 65536 bytes")
    await refuses(BALANCES, "a body above 65536 bytes", InSign())


@contained("changes the address of a request while it signs it")
async def _(directory: Path) -> None:
    class Moves(Acme):
        @hookimpl
        def sign(self, request: Request, credentials: Credentials, timestamp: int) -> Request:
            return msgspec.structs.replace(request, path="/v1/ticker")

    await refuses(BALANCES, "changed the address of a request", Moves())


@pytest.mark.parametrize("behaviour", CONTAINED)
async def test_hostile_plugin_is_contained(behaviour: str, tmp_path: Path) -> None:
    """What the plugin tries has no effect outside its own exchange, and ends in a sentence."""
    await CONTAINED[behaviour](tmp_path)
