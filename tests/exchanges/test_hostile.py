"""A plugin that means harm: what the core contains, each shown here, and what is a matter of trust.

docs/security.md lists both; a test compares it with the tables below.
"""

from __future__ import annotations

import asyncio
import base64
import io
import logging
import re
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest

from bot import (
    Account,
    BotError,
    Credentials,
    ExchangeError,
    Flow,
    InsufficientFunds,
    Order,
    OrderAck,
    OrderReport,
    OutcomeUnknown,
    Request,
    Response,
    UserError,
    hookimpl,
)
from bot.contract.errors import PluginError
from bot.exchanges import registry
from bot.exchanges.http import HttpWire
from bot.exchanges.registry import Plugin
from bot.redact import RedactingFormatter, redactor
from bot.trading.evidence import is_same
from tests.exchanges.acme import ACCOUNT, BALANCES, CANARY, ORDER, Acme, ListedWire, place, reply, rig, rig_on
from tests.trading import conftest as trading

ROOT = Path(__file__).parents[2]
Check = Callable[[Path], Awaitable[None]]
CONTAINED: dict[str, Check] = {}
TRUSTED = (
    "reads the environment",
    "reads files",
    "opens the database",
    "searches memory: other objects, frames, the garbage collector",
    "opens a socket of its own",
    "starts another program, or forks",
    "starts a thread",
    "registers something to run at exit",
    "changes where Python imports from",
    "replaces functions of libraries: httpx, hashlib, json, logging, Decimal",
    "blocks the bot: sleeps, or computes without end",
    "keeps the secret that `sign` saw, and sends it to its own exchange later",
    "changes the size or the price of an order before it signs it",
    "lies about prices, balances, or fills that its order could have had",
)


def contained(behaviour: str) -> Callable[[Check], Check]:
    """Register the proof that `behaviour` is contained."""

    def register(check: Check) -> Check:
        CONTAINED[behaviour] = check
        return check

    return register


def told(*plugins: Any) -> dict[str, str]:
    """What the catalog has against plugins called p0, p1 and so on."""
    return dict(registry.catalog(Plugin(f"p{number}", each) for number, each in enumerate(plugins)).broken)


async def refuses(request: Request, words: str, plugin: Any = None) -> None:
    """Nothing is sent for a read that yields `request`."""
    on = rig(reply(), plugin=plugin)
    with pytest.raises(PluginError, match=words):
        await on.read(asks(request))
    assert on.wire.sent == []


def asks(*requests: Request) -> Flow[None]:
    for request in requests:  # noqa: UP028  # a tuple takes no answers
        yield request


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


@contained("asks without end")
async def _(directory: Path) -> None:
    on = rig(reply())
    with pytest.raises(PluginError, match="more than 20 requests"):
        await on.read(asks(*[BALANCES] * 21))
    assert len(on.wire.sent) == 20


@contained("asks on after thirty seconds")
async def _(directory: Path) -> None:
    def slow(_: Request) -> Response:
        on.clock.advance(11)
        return reply()

    on = rig(slow)
    with pytest.raises(PluginError, match="asked on after 30 seconds"):
        await on.read(asks(*[BALANCES] * 20))
    assert len(on.wire.sent) == 3
    with pytest.raises(OutcomeUnknown, match=r"took the order, then: .* asked on after 30 seconds"):
        await on.place(asks(place(), *[BALANCES] * 5))


@contained("recurses without end")
async def _(directory: Path) -> None:
    def deeper() -> Flow[None]:
        return (yield from deeper())

    nested: dict[str, Any] = {}
    nested["again"] = nested
    for flow in (deeper(), asks(Request.post("/v1/orders", nested))):
        on = rig()
        with pytest.raises(PluginError, match="plugin failed"):
            await on.read(flow)
        assert on.wire.sent == []


class Quits(BaseException):
    """Of no family that anybody catches by accident."""


ENDS = [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit(), Quits()]


@contained("ends the program, or the task, from any hook")
async def _(directory: Path) -> None:
    for end in ENDS:
        await _ends_itself_alone(end)


async def _ends_itself_alone(end: BaseException) -> None:
    def crash(*_: object) -> Any:
        raise end

    def flow() -> Flow[None]:
        crash()
        yield BALANCES

    class InCall(Acme):
        balances = ticker = hookimpl(lambda self: crash())  # type: ignore[assignment]

    class InSign(Acme):
        sign = hookimpl(lambda self: crash())  # type: ignore[assignment]

    class InMapping(Acme):
        map_error = hookimpl(lambda self: crash())  # type: ignore[assignment]

    class InInfo(Acme):
        exchange_info = hookimpl(lambda self: crash())  # type: ignore[assignment]

    class InConfigure(Acme):
        configure = hookimpl(lambda self: crash())

    with pytest.raises(PluginError, match="plugin failed"):
        await rig().read(flow())
    with pytest.raises(PluginError, match="plugin failed"):
        rig(plugin=InCall()).transport.flow("balances", account=ACCOUNT)
    with pytest.raises(PluginError, match="plugin failed"):
        await rig(plugin=InSign()).read(asks(BALANCES))
    with pytest.raises(OutcomeUnknown):
        await rig(plugin=InMapping()).place()
    assert "exchange_info failed" in told(InInfo())["p0"]
    assert "configure failed" in told(InConfigure())["p0"]


@contained("writes the secret to the log, in any of ten encodings")
async def _(directory: Path) -> None:
    secret = 'the "secret" of Ann+Bob/7'
    encoded = secret.encode()
    forms = [
        secret,
        quote(secret, safe=""),
        encoded.hex(),
        encoded.hex().upper(),
        repr(encoded),
        base64.b64encode(encoded).decode(),
        base64.b64encode(b"x" + encoded).decode(),
        base64.b64encode(b"xx" + encoded).decode(),
        base64.urlsafe_b64encode(encoded).decode(),
        secret.replace('"', '\\"'),
    ]
    redactor.register(secret)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(RedactingFormatter())
    log = logging.Logger("tradewire_acme")
    log.addHandler(handler)
    for form in forms:
        log.warning("here it is: %s", form)
    lines = stream.getvalue().splitlines()
    assert len(lines) == len(forms)
    assert [form for form, line in zip(forms, lines, strict=True) if form[4:-4] in line] == []


@contained("puts the secret into an error")
async def _(directory: Path) -> None:
    class Tells(Acme):
        @hookimpl
        def sign(self, request: Request, credentials: Credentials, timestamp: int) -> Request:
            raise ValueError(credentials.secret.reveal())

    with pytest.raises(PluginError) as raised:
        await rig(plugin=Tells()).read(asks(BALANCES))
    assert CANARY not in str(raised.value)


@contained("wants the keys in a call that has no account")
async def _(directory: Path) -> None:
    on = rig()
    with pytest.raises(PluginError, match="asked for a signature in a call that has no account"):
        await on.transport.run(asks(BALANCES))
    assert (on.wire.sent, on.opened) == ([], 0)


@contained("calls a timeout a refusal")
async def _(directory: Path) -> None:
    def lies() -> Flow[OrderAck]:
        try:
            yield place()
        except ExchangeError as error:
            raise InsufficientFunds from error
        raise AssertionError

    with pytest.raises(OutcomeUnknown, match="no answer"):
        await rig(OutcomeUnknown("no answer")).place(lies())


@contained("calls a timeout a success")
async def _(directory: Path) -> None:
    def lies() -> Flow[OrderAck]:
        with suppress(BotError):
            yield place()
        return OrderAck("42", "t1")

    with pytest.raises(OutcomeUnknown, match="no answer"):
        await rig(OutcomeUnknown("no answer")).place(lies())


@contained("places twice")
async def _(directory: Path) -> None:
    on = rig(reply())
    with pytest.raises(OutcomeUnknown, match="tried to place an order where it may not"):
        await on.place(asks(place(), place("t2")))
    assert len(on.wire.sent) == 1


@contained("places while it is asked to read")
async def _(directory: Path) -> None:
    await refuses(place(), "tried to place an order where it may not")


@contained("changes the order that it is given")
async def _(directory: Path) -> None:
    class Changes(Acme):
        @hookimpl
        def place_order(self, order: Order) -> Flow[OrderAck]:
            order.price = Decimal(1)  # type: ignore[misc]
            yield place()
            raise AssertionError

    on = rig(plugin=Changes())
    with pytest.raises(PluginError, match="FrozenInstanceError"):
        await on.place()
    assert (ORDER.price, on.wire.sent) == (Decimal(60_000), [])


@contained("acknowledges another order than the one it was given")
async def _(directory: Path) -> None:
    for number, ack in enumerate((OrderAck("x9", "another"), OrderAck("", "ours"), None, "x9")):

        class Mistaken(trading.Acme):
            @hookimpl
            def place_order(self, order: Order, ack: Any = ack) -> Flow[OrderAck]:
                yield from super().place_order(order)
                ours = isinstance(ack, OrderAck) and ack.client_order_id == "ours"
                return replace(ack, client_order_id=order.client_order_id) if ours else ack

        (directory / str(number)).mkdir()
        room = trading.new_room(directory / str(number), kind=Mistaken)
        try:
            row = await room.placed()
            assert (row.state, row.exchange_order_id) == ("unknown", "")
            assert "acknowledged another order" in row.reason
        finally:
            await room.close()


@contained("reports another order as ours: symbol, side, size, price or id")
async def _(directory: Path) -> None:
    room = trading.new_room(directory)
    try:
        row = await room.placed()
        order = row.order
        honest = OrderReport(
            exchange_order_id="x1",
            client_order_id=order.client_order_id,
            exchange_symbol=order.market.exchange_symbol,
            side=order.side,
            type=order.type,
            state="filled",
            filled=order.size.amount,
            quantity=order.size.amount,
            price=order.price,
        )
        doubtful = replace(row, exchange_order_id="")
        changes: list[dict[str, Any]] = [
            {"client_order_id": "another"},
            {"exchange_symbol": "ETHUSDT"},
            {"side": "sell"},
            {"quantity": order.size.amount * 2},
            {"price": Decimal(1)},
        ]
        found = [is_same(doubtful, replace(honest, **each), offset_ms=0) for each in ({}, *changes)]
        assert found == [True, *[False] * len(changes)]
    finally:
        await room.close()


@contained("keeps a guard's veto from holding")
async def _(directory: Path) -> None:
    class Guard:
        @hookimpl(wrapper=True)
        def place_order(self, account: Account, order: Order) -> Generator[None, Flow[OrderAck], Flow[OrderAck]]:
            raise UserError("not here")
            return (yield)

    class First(Acme):
        @hookimpl(tryfirst=True)
        def place_order(self, order: Order) -> Flow[OrderAck]:
            raise AssertionError("was asked")

    on = rig_on(ListedWire([reply()]), First(), [Guard()])
    with pytest.raises(UserError, match="not here"):
        on.transport.flow("place_order", account=ACCOUNT, order=ORDER)


@pytest.mark.parametrize("behaviour", CONTAINED)
async def test_hostile_plugin_is_contained(behaviour: str, tmp_path: Path) -> None:
    """What the plugin tries has no effect outside its own exchange, and ends in a sentence."""
    await CONTAINED[behaviour](tmp_path)


def test_hostile_suite_is_as_large_as_promised() -> None:
    """Thirty behaviours or more, of which eighteen or more are contained."""
    assert len(CONTAINED) >= 18
    assert len({*CONTAINED, *TRUSTED}) >= 30


@pytest.mark.parametrize(
    ("heading", "behaviours"), [("Contained", tuple(CONTAINED)), ("A matter of trust", TRUSTED)], ids=["kept", "trust"]
)
def test_security_page_lists_what_a_plugin_can_and_cannot_do(heading: str, behaviours: tuple[str, ...]) -> None:
    """Who installs a plugin reads there exactly what is tested here, in the same words and in this order."""
    assert list(_listed_under(heading)) == list(behaviours)


def _listed_under(heading: str) -> Iterator[str]:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    section = page.partition(f"\n### {heading}\n")[2].partition("\n#")[0]
    for item in re.findall(r"^- (.*(?:\n  .*)*)", section, flags=re.MULTILINE):
        yield re.sub(r"\s+", " ", item).removesuffix(".")
