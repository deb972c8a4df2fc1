"""What an exchange may answer, a hostile one too: every hook of the four plugins has a result or an error."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot import Account, Base, Credentials, ExchangeError, Market, Order, Request, Response, Secret
from bot.exchanges import registry
from bot.exchanges.transport import Departure, Transport
from bot.testing.noise import WORDS
from tests.security.hostile import NUMBERS, TEXTS
from tests.trading.conftest import FakeClock

REPLIES = 150
NIGHTLY_REPLIES = 20_000
EXCHANGES = registry.catalog(registry.discover()).exchanges
BUNDLED = sorted(name for name in EXCHANGES if name in ("bitget", "bitopro", "bitrue", "btcc"))
SPELLED = {"bitopro": "btc_usdt"}
"""How an exchange writes the pair, where not `BTCUSDT`."""


def market(exchange: str) -> Market:
    return Market(
        symbol="BTC/USDT",
        exchange_symbol=SPELLED.get(exchange, "BTCUSDT"),
        base="BTC",
        quote="USDT",
        price_step=Decimal("0.01"),
        quantity_step=Decimal("0.0001"),
        quote_step=Decimal("0.01"),
    )


def order(exchange: str) -> Order:
    return Order(
        client_order_id="1234567",
        market=market(exchange),
        side="buy",
        type="limit",
        size=Base(Decimal("0.5")),
        price=Decimal("58000"),
    )


def arguments(exchange: str) -> dict[str, dict[str, Any]]:
    """Every hook that asks, and what it is asked with."""
    one, placed = market(exchange), order(exchange)
    return {
        "server_time": {},
        "markets": {},
        "ticker": {"market": one},
        "order_book": {"market": one},
        "detect": {},
        "balances": {},
        "key_permissions": {},
        "open_orders": {"markets": [one]},
        "fills": {"markets": [one], "exchange_order_id": "7"},
        "find_order": {"order": placed},
        "order_status": {"order": placed, "exchange_order_id": "7"},
        "cancel_order": {"order": placed, "exchange_order_id": "7"},
    }


FOR_ALL = ("server_time", "markets", "ticker", "order_book")

_leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.sampled_from((*NUMBERS, *TEXTS, "0", "200", "0000", "success", "BTCUSDT", "1234567", "7", "FILLED", "live")),
    st.text(max_size=12),
)
_names = st.one_of(
    st.sampled_from((*WORDS, "orders", "amount", "price", "left", "list", "clientOid", "orderId")), st.text(max_size=6)
)
_values = st.recursive(
    _leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_names, inner, max_size=5)),
    max_leaves=20,
)
_bodies = st.one_of(
    _values.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")),
    _values.map(
        lambda value: json.dumps({"code": "00000", "msg": "success", "data": value}).encode("utf-8", "replace")
    ),
    st.binary(max_size=60),
    st.sampled_from(
        (b"", b"[" * 100_000, b"1" * 10_000, b"1e999999", b"NaN", b'{"a":' * 5_000, b"\xff\xfe{}", b"null")
    ),
)
_replies = st.builds(
    Response,
    st.sampled_from((200, 200, 200, 400, 401, 403, 418, 429, 500, 502, 302, 204)),
    st.dictionaries(
        st.sampled_from(("retry-after", "content-type", "x-a")), st.sampled_from((*NUMBERS, "5", "x")), max_size=2
    ),
    _bodies,
)


class Hostile:
    """The far end of the wire: answers whatever it was given, over and over."""

    def __init__(self, replies: list[Response]) -> None:
        self.replies = replies
        self.count = 0

    async def send(self, request: Request, *, timeout_seconds: float) -> Response:
        self.count += 1
        return self.replies[self.count % len(self.replies)]

    async def close(self) -> None:
        pass


async def _ask(exchange: str, hook: str, values: Mapping[str, Any], replies: list[Response]) -> object:
    """Let a plugin meet replies; return what came of it."""
    found = EXCHANGES[exchange]
    transport = Transport(found.info, found.hook, Hostile(replies), FakeClock())
    account = {} if hook in FOR_ALL else {"account": Account(1, "main")}
    flow = transport.flow(hook, **account, **values)
    if flow is None:
        return None

    async def keys() -> Credentials:
        return Credentials(Secret("12345678-key"), Secret("c2VjcmV0"), Secret("pass"), Secret("a@b.example"))

    async def note(_: Departure) -> None:
        pass

    sends = {"before_send": note} if hook == "place_order" else {}
    try:
        return await transport.run(flow, credentials=None if hook in FOR_ALL else keys, **sends)
    except ExchangeError as error:
        return error


def _fuzz(exchange: str, count: int) -> None:
    asked = arguments(exchange)
    with asyncio.Runner() as runner:

        @settings(
            max_examples=count,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(replies=st.lists(_replies, min_size=1, max_size=3), hook=st.sampled_from(sorted(asked)))
        def meet(replies: list[Response], hook: str) -> None:
            runner.run(_ask(exchange, hook, asked[hook], replies))
            runner.run(_ask(exchange, "place_order", {"order": order(exchange)}, replies))

        meet()


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Any:
    """A plugin that breaks is logged as an error; that is a failure here."""
    caplog.set_level(logging.ERROR)
    yield
    assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.parametrize("exchange", BUNDLED)
def test_hostile_reply_is_an_answer_or_an_exchange_error(exchange: str) -> None:
    """Every hook of the four plugins takes whatever comes: a result, or an `ExchangeError`, and nothing else."""
    _fuzz(exchange, REPLIES)


@pytest.mark.nightly
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("exchange", BUNDLED)
def test_hostile_replies_by_the_thousand(exchange: str) -> None:
    """The same at length."""
    _fuzz(exchange, NIGHTLY_REPLIES)


def test_all_four_exchanges_are_met() -> None:
    """The plugins that come with tradewire are all there."""
    assert BUNDLED == ["bitget", "bitopro", "bitrue", "btcc"]
