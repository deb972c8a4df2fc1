"""An order's row: what of the table stands where in it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from bot.trading.orders import OrderRow, as_json, row_of
from tests.trading.conftest import START_MS, Room

STORED = {
    "id": 7,
    "account_id": 1,
    "user_id": 2,
    "exchange": "acme",
    "symbol": "BTC/USDT",
    "side": "sell",
    "state": "partially_filled",
    "reason": "Slow.",
    "params": {"size": "0.5", "warnings": ["Mind."]},
    "params_hash": b"hash",
    "intent": "{}",
    "client_order_id": "ours",
    "exchange_order_id": "theirs",
    "request_hash": "sent",
    "window_ends_ms": 3,
    "misses": 4,
    "last_miss_ms": 5,
    "filled": "0.10",
    "average_price": "58000.5",
    "fee": "0.001",
    "fee_asset": "BTC",
    "chat_id": 6,
    "message_id": 8,
    "expires_ms": 9,
    "cancel_requested_ms": 10,
    "late": 1,
    "doubted": 0,
    "external": 1,
    "refusal": "InvalidOrder",
    "created_ms": START_MS,
    "sent_ms": 11,
    "updated_ms": 12,
}
READ = {
    "filled": Decimal("0.10"),
    "average_price": Decimal("58000.5"),
    "fee": Decimal("0.001"),
    "late": True,
    "doubted": False,
    "external": True,
}


def columns_of(room: Room) -> list[str]:
    return [each["name"] for each in room.sql("PRAGMA table_info(orders)")]


def selected(room: Room, columns: list[str], **changes: object) -> OrderRow:
    """Return `STORED` as a select of these columns has it."""
    values = {**STORED, "params": as_json(STORED["params"]), **changes}
    query = "SELECT " + ", ".join(f"? AS {name}" for name in columns)
    return row_of(room.sql(query, *(values[name] for name in columns))[0])


def values_of(row: OrderRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in OrderRow.__struct_fields__}


def test_row_has_the_columns_of_its_table_in_their_order(room: Room) -> None:
    """It is read by place: a migration adds a column at the end, and here as well."""
    assert list(OrderRow.__struct_fields__) == columns_of(room)


def test_row_is_read_whole(room: Room) -> None:
    """Each column under its own name, amounts as `Decimal`, to the last zero, and flags as `bool`."""
    found = values_of(selected(room, columns_of(room)))
    assert repr(found) == repr(STORED | READ | {"params": found["params"]})
    assert found["params"] == STORED["params"]


def test_row_without_what_is_not_known_yet(room: Room) -> None:
    """No id is an empty one; no price and no fee are none, not zero."""
    unknown = dict.fromkeys(("client_order_id", "exchange_order_id", "average_price", "fee"))
    row = selected(room, columns_of(room), filled="0", **unknown)
    found = (row.client_order_id, row.exchange_order_id, row.average_price, row.fee, row.filled)
    assert found == ("", "", None, None, Decimal(0))


def test_row_of_fewer_columns_is_an_error(room: Room) -> None:
    """A query that leaves one out is found out."""
    with pytest.raises(TypeError, match="Missing required argument"):
        selected(room, columns_of(room)[:-1])


def test_row_with_the_column_of_a_later_version_is_read(room: Room) -> None:
    """A migration adds columns at the end; what does not know them passes them over."""
    assert selected(room, [*columns_of(room), "misses"]) == selected(room, columns_of(room))
