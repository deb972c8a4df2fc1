"""Orders that only the exchange knows: what their rows hold, and which of ours a list gives a reason to ask after."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from bot import ClientId, Market, OrderReport
from bot.accounts import people
from bot.trading import adoption, orders
from bot.trading.intent import Amount, Fixed, Intent
from bot.trading.law import State
from tests.trading.conftest import ANN, BOB, MARKET, OTHER_MARKET, START_MS, Room
from tests.trading.test_journal import bring

OURS = "t" + "a2" * 12 + "b"
MARKETS = {"BTCUSDT": MARKET, "ETHUSDT": OTHER_MARKET}


def told(**other: Any) -> OrderReport:
    facts: dict[str, Any] = {
        "exchange_order_id": "x77",
        "client_order_id": OURS,
        "exchange_symbol": "BTCUSDT",
        "side": "buy",
        "type": "limit",
        "state": "open",
        "filled": Decimal(0),
        "quantity": Decimal("0.25"),
        "price": Decimal(50_000),
        "created_ms": START_MS - 5_000,
    }
    return OrderReport(**facts | other)


def compare(room: Room, *reports: OrderReport, **other: Any) -> list[int]:
    options: dict[str, Any] = {
        "account_id": room.account.id,
        "exchange_id": "acme",
        "markets": MARKETS,
        "rule": ClientId(),
        "now_ms": START_MS,
    }
    return room.store.transact(lambda db: adoption.compare(db, reports=reports, **options | other))


PARAMS: Mapping[str, Any] = {
    "symbol": "BTC/USDT",
    "exchange_symbol": "BTCUSDT",
    "base": "BTC",
    "quote": "USDT",
    "price_step": "0.01",
    "quantity_step": "0.000001",
    "quote_step": "0.01",
    "side": "buy",
    "type": "limit",
    "size": "0.25",
    "size_in": "base",
    "price": "50000",
    "stop_price": None,
    "time_in_force": "GTC",
    "post_only": False,
    "reference_price": None,
    "quantity": "0.25",
    "notional": "12500.00",
    "warnings": [],
}


async def test_adopted_order_has_every_fact_that_the_exchange_told(room: Room) -> None:
    """The whole row, its event and its card; it is asked after at once, and followed as any other."""
    asked = compare(room, told(state="partially_filled", filled=Decimal("0.1"), average_price=Decimal(49_999)))
    row = room.row(1)
    expected = orders.OrderRow(
        id=1,
        account_id=room.account.id,
        user_id=ANN,
        exchange="acme",
        symbol="BTC/USDT",
        side="buy",
        state="partially_filled",
        reason="",
        params=PARAMS,
        params_hash=orders.params_hash(room.account.id, PARAMS),
        intent=row.intent,
        client_order_id=OURS,
        exchange_order_id="x77",
        request_hash=None,
        window_ends_ms=None,
        misses=0,
        last_miss_ms=None,
        filled=Decimal("0.1"),
        average_price=Decimal(49_999),
        fee=None,
        fee_asset="",
        chat_id=ANN,
        message_id=None,
        expires_ms=START_MS,
        cancel_requested_ms=None,
        late=False,
        doubted=False,
        external=True,
        refusal="",
        created_ms=START_MS - 5_000,
        sent_ms=START_MS - 5_000,
        updated_ms=START_MS,
    )
    assert (asked, row) == ([1], expected)
    events = [dict(each) for each in room.sql("SELECT order_id, user_id, kind, at_ms, detail FROM events")]
    detail = orders.as_json(PARAMS)
    assert events == [{"order_id": 1, "user_id": ANN, "kind": "adopted", "at_ms": START_MS, "detail": detail}]
    assert [tuple(each) for each in room.sql("SELECT order_id, chat_id, kind FROM outbox")] == [(1, ANN, "order")]


async def test_adopted_order_can_be_asked_for_again(room: Room) -> None:
    """Its intent reads as the order that it is: /again and the card's buttons begin with it."""
    compare(room, told())
    intent = Intent("buy", "BTC/USDT", Amount(Decimal("0.25"), "BTC"), Fixed(Decimal(50_000)))
    assert Intent.from_json(room.row(1).intent) == intent


@pytest.mark.parametrize(
    ("other", "changed"),
    [
        ({"quantity": None, "filled": Decimal("0.1")}, {"size": "0.1", "quantity": "0.1", "notional": "5000.0"}),
        ({"price": None, "type": "market"}, {"price": None, "type": "market", "notional": "0.00"}),
        ({"price": Decimal(0), "type": "market"}, {"price": None, "type": "market", "notional": "0.00"}),
        (
            {"price": None, "type": "stop_market", "stop_price": Decimal(40_000)},
            {"price": None, "type": "stop_market", "stop_price": "40000", "notional": "10000.00"},
        ),
        (
            {"type": "stop_limit", "stop_price": Decimal(51_000)},
            {"type": "stop_limit", "stop_price": "51000"},
        ),
        ({"stop_price": Decimal(0)}, {}),
    ],
)
async def test_adopted_order_of_another_kind_is_what_was_told(
    room: Room, other: dict[str, Any], changed: dict[str, Any]
) -> None:
    """What the exchange leaves out is none, and the worth is reckoned from what there is."""
    compare(room, told(**other))
    row = room.row(1)
    assert row.params == {**PARAMS, **changed}
    assert (row.order.price, row.order.stop_price) == tuple(
        None if changed.get(name, PARAMS[name]) is None else Decimal(changed.get(name, PARAMS[name]))
        for name in ("price", "stop_price")
    )


async def test_adopted_order_without_a_time_is_of_now(room: Room) -> None:
    """Not of 1970: its age decides how often it is asked after."""
    compare(room, told(created_ms=0))
    assert (room.row(1).created_ms, room.row(1).sent_ms) == (START_MS, START_MS)


@pytest.mark.parametrize(
    ("other", "adopted"),
    [({}, 1), ({"client_order_id": "web-1"}, 0), ({"client_order_id": ""}, 0), ({"exchange_symbol": "XXXYYY"}, 0)],
)
async def test_adopted_is_only_what_is_ours_in_a_listed_market(room: Room, other: dict[str, Any], adopted: int) -> None:
    """The control is in the same table."""
    compare(room, told(**other))
    assert len(room.sql("SELECT 1 FROM orders")) == adopted


@pytest.mark.parametrize(
    ("state", "is_listed", "is_asked"),
    [
        ("open", True, False),
        ("open", False, True),
        ("partially_filled", True, False),
        ("partially_filled", False, True),
        ("unknown", True, True),
        ("unknown", False, False),
        ("not_placed", True, True),
        ("canceled", True, True),
        ("canceled", False, False),
    ],
)
async def test_compare_asks_after_what_is_open_on_one_side_only(
    room: Room, state: State, is_listed: bool, is_asked: bool
) -> None:
    """Open there and not so here, or the reverse."""
    row = await room.placed()
    bring(room, row, state)
    reports = [told(exchange_order_id="x1", client_order_id=row.client_order_id)] if is_listed else []
    assert compare(room, *reports) == ([row.id] if is_asked else [])
    assert len(room.sql("SELECT 1 FROM orders")) == 1


@pytest.mark.parametrize(
    "other",
    [{"client_order_id": ""}, {"exchange_order_id": ""}, {"exchange_order_id": "x8"}, {"client_order_id": OURS}],
)
async def test_compare_knows_an_order_by_either_id(room: Room, other: dict[str, str]) -> None:
    """One of the two is enough: an exchange may tell only one, and an order in doubt has only ours."""
    row = await room.placed()
    report = told(**{"exchange_order_id": "x1", "client_order_id": row.client_order_id} | other)
    assert (compare(room, report), len(room.sql("SELECT 1 FROM orders"))) == ([], 1)


async def test_compare_report_without_any_id_is_no_order_of_ours(room: Room) -> None:
    """Least of all one of our orders that have no id yet."""
    row = await room.propose()
    room.sql("UPDATE orders SET exchange_order_id=''")
    assert compare(room, told(exchange_order_id="", client_order_id="")) == []
    assert (room.row(row).state, len(room.sql("SELECT 1 FROM orders"))) == ("proposed", 1)


@pytest.mark.parametrize("other", [{"exchange_id": "acme:paper"}, {"account_id": 0}])
async def test_compare_looks_at_its_own_account_and_exchange_only(room: Room, other: dict[str, Any]) -> None:
    """An empty list of one place says nothing of orders in another."""
    await room.placed()
    assert compare(room, **other) == []


async def test_compare_same_id_on_another_exchange_is_another_order(room: Room) -> None:
    """Paper and real orders may have the same ids."""
    row = await room.placed()
    compare(room, told(exchange_order_id="x1"), exchange_id="acme:paper")
    assert [room.row(each).exchange for each in (row.id, row.id + 1)] == ["acme", "acme:paper"]


async def test_compare_same_id_of_another_account_is_another_order(room: Room) -> None:
    """Exchanges count by account, and an id of ours may have been minted on another instance."""
    row = await room.placed()
    bobs = room.store.transact(lambda db: people.add_account(db, BOB, "acme", "bobs", START_MS, facts={}))
    compare(room, told(exchange_order_id="x1", client_order_id=OURS), account_id=bobs.id)
    adopted = room.row(row.id + 1)
    assert (adopted.account_id, adopted.user_id, adopted.chat_id) == (bobs.id, BOB, BOB)


@pytest.mark.parametrize(
    ("longest", "text", "ours"),
    [
        (32, "t" + "a" * 25, True),
        (32, "t" + "a" * 24, False),
        (32, "t" + "a" * 26, False),
        (32, "x" + "a" * 25, False),
        (20, "t" + "a" * 19, True),
        (20, "t" + "a" * 25, False),
    ],
)
def test_adopted_text_has_the_length_that_we_mint(longest: int, text: str, ours: bool) -> None:
    """26 characters, or as many as the exchange allows."""
    assert adoption.is_our_kind(ClientId("text", longest), text) is ours


async def test_markets_of_an_account_are_the_newest_fifteen_once_each(room: Room) -> None:
    """The last traded one is listed first, however often it was traded."""
    row = await room.placed()
    template = dict(room.sql("SELECT * FROM orders WHERE id=?", row.id)[0])

    def trade(db: Any) -> None:
        for number in range(2, 42):
            symbol = f"A{number // 2}/USDT"
            params = orders.as_json({**row.params, "symbol": symbol})
            changed = {"id": number, "symbol": symbol, "params": params, "client_order_id": f"c{number}"}
            values = {**template, **changed, "exchange_order_id": f"y{number}"}
            marks = ",".join("?" * len(values))
            db.execute(f"INSERT INTO orders({','.join(values)}) VALUES ({marks})", tuple(values.values()))

    room.store.transact(trade)

    def known(db: Any, account_id: int, exchange_id: str) -> list[Market]:
        return list(adoption.markets_of(db, account_id, exchange_id))

    found = room.store.transact(lambda db: known(db, room.account.id, "acme"))
    assert [each.symbol for each in found] == [f"A{number}/USDT" for number in range(20, 5, -1)]
    elsewhere = [(room.account.id + 1, "acme"), (room.account.id, "acme:paper")]
    assert [room.store.transact(lambda db, at=at: known(db, *at)) for at in elsewhere] == [[], []]
