"""What the journal knows of orders: the questions that are asked of it. Nothing here changes anything.

Every function takes the connection of a running transaction.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import TypeAlias

from msgspec.structs import replace

from bot.accounts import people
from bot.accounts.people import AccountRow
from bot.contract.errors import UserError
from bot.contract.models import Side
from bot.store.database import Connection
from bot.trading.law import DOUBTFUL, LIVE, State
from bot.trading.orders import OrderRow, row_of

_LATE_MS = 86_400_000
_AFTER_MS = 60_000
UNFINISHED: tuple[State, ...] = (
    "proposed",
    "confirmed",
    "sending",
    "unknown",
    "needs_human",
    "open",
    "partially_filled",
)
"""As the index `orders_unfinished` names them; SQLite uses it only for a condition in the same words."""
UNSETTLED_OF_USER = (
    "account_id IN (SELECT id FROM accounts WHERE user_id=?)"  # noqa: S608  # our words
    f" AND state IN {(*LIVE, *DOUBTFUL)} AND state IN {UNFINISHED}"
)
"""A condition: live or in doubt, of a person."""
_ABSENT = "state='not_placed' AND sent_ms>?"
_ENDED = (
    "state IN ('filled', 'canceled') AND updated_ms>? AND exchange_order_id<>''"
    " AND NOT (state='filled' AND fee IS NOT NULL)"
)
Watched: TypeAlias = tuple[int, int, str, State]
"""The number of an order, its account, its exchange and its state."""
Place: TypeAlias = tuple[int, int]
"""An order's account and its number: the order of the index within a state."""


def get(db: Connection, order_id: int) -> OrderRow:
    """Return one order.

    Raises:
        UserError: There is none with this number.
    """
    found = db.execute("SELECT * FROM orders WHERE id=?", (order_id,)).fetchone()
    if found is None:
        raise _no_order(order_id)
    return row_of(found)


def get_own(db: Connection, order_id: int, user_id: int) -> OrderRow:
    """Return one of `user_id`'s orders; another's is as if it did not exist.

    Raises:
        UserError: There is none with this number.
    """
    found = db.execute("SELECT * FROM orders WHERE id=? AND user_id=?", (order_id, user_id)).fetchone()
    if found is None:
        raise _no_order(order_id)
    return row_of(found)


def is_anothers(db: Connection, row: OrderRow, exchange_order_id: str) -> bool:
    """Say whether another order of the same account already has this id at the exchange."""
    query = "SELECT 1 FROM orders WHERE account_id=? AND exchange=? AND exchange_order_id=? AND id<>?"
    found = db.execute(query, (row.account_id, row.exchange, exchange_order_id, row.id)).fetchone()
    return found is not None


def later_without_id(db: Connection, row: OrderRow) -> list[OrderRow]:
    """Return the orders of the same account, pair and side that were sent after `row` and may exist under any id."""
    query = (
        "SELECT * FROM orders WHERE account_id=? AND exchange=? AND symbol=? AND side=? AND sent_ms>=? AND id<>?"
        " AND coalesce(exchange_order_id, '')='' AND state NOT IN ('rejected', 'expired')"
    )
    found = db.execute(query, (row.account_id, row.exchange, row.symbol, row.side, row.sent_ms, row.id)).fetchall()
    return [row_of(each) for each in found]


def settled_untold(db: Connection, row: OrderRow) -> OrderRow | None:
    """Return an order of the same account, pair and side that was in doubt, is not any more, and whose card waits."""
    query = (
        "SELECT * FROM orders WHERE account_id=? AND doubted=1 AND id<>? AND exchange=? AND symbol=? AND side=?"
        " AND EXISTS (SELECT 1 FROM outbox WHERE order_id=orders.id AND kind='order' AND lane<>'held') ORDER BY id"
    )
    found = db.execute(query, (row.account_id, row.id, row.exchange, row.symbol, row.side)).fetchall()
    settled = [each for each in map(row_of, found) if each.state not in DOUBTFUL and each.id not in row.despite]
    return settled[0] if settled else None


def account_of(db: Connection, row: OrderRow) -> AccountRow:
    """Return the account of an order: real or on paper as the order was drafted, whatever was switched since."""
    return replace(people.known_account(db, row.account_id), paper=row.exchange.endswith(":paper"))


def in_doubt(db: Connection, account_id: int, symbol: str, side: Side) -> list[OrderRow]:
    """Return the orders of an account, pair and side of which nobody knows whether they exist, oldest first."""
    query = (
        "SELECT * FROM orders WHERE account_id=? AND symbol=? AND side=?"  # noqa: S608  # our words
        f" AND state IN {DOUBTFUL} AND state IN {UNFINISHED} ORDER BY id"
    )
    return [row_of(found) for found in db.execute(query, (account_id, symbol, side)).fetchall()]


def in_states(db: Connection, states: tuple[State, ...], account_id: int | None = None) -> list[OrderRow]:
    """Return all orders in `states`, or those of one account, oldest first.

    Orders that have ended are not even looked at when none of `states` is an end: there may be very many.
    """
    query = f"SELECT * FROM orders WHERE state IN ({','.join('?' * len(states))})"  # noqa: S608  # only question marks
    values: tuple[object, ...] = states
    if account_id is not None:
        query, values = query + " AND account_id=?", (*states, account_id)
    if set(states) <= set(UNFINISHED):
        query += f" AND state IN {UNFINISHED}"
    return [row_of(row) for row in db.execute(query + " ORDER BY id", values).fetchall()]


def is_watched(row: OrderRow, now_ms: int) -> bool:
    """Say whether the bot must look after an order.

    It is live or in doubt; or was sent in the last day and held to be absent; or ended within the last minute, for a
    fill may be told later than the end.
    """
    if row.state in (*LIVE, *DOUBTFUL):
        return True
    if row.state == "not_placed":
        return row.sent_ms is not None and row.sent_ms > now_ms - _LATE_MS
    is_fresh = row.state in ("filled", "canceled") and row.updated_ms > now_ms - _AFTER_MS
    return is_fresh and row.exchange_order_id != "" and not row.is_settled


def watched(db: Connection, now_ms: int, order_ids: Collection[int]) -> list[OrderRow]:
    """Return those of some orders that the bot must look after."""
    query = "SELECT * FROM orders WHERE id IN (SELECT value FROM json_each(?))"
    rows = [row_of(found) for found in db.execute(query, (json.dumps(list(order_ids)),)).fetchall()]
    return [row for row in rows if is_watched(row, now_ms)]


def all_watched(db: Connection, now_ms: int) -> list[Watched]:
    """Return the few columns of all orders that the bot must look after: there may be very many."""
    columns = "SELECT id, account_id, exchange, state FROM orders WHERE "
    states = (*LIVE, *DOUBTFUL)
    unsettled = f"state IN ({','.join('?' * len(states))}) AND state IN {UNFINISHED}"
    found = [
        *db.execute(columns + unsettled, states).fetchall(),
        *db.execute(columns + _ABSENT, (now_ms - _LATE_MS,)).fetchall(),
        *db.execute(columns + _ENDED, (now_ms - _AFTER_MS,)).fetchall(),
    ]
    return [tuple(row) for row in found]


def ids_of(
    db: Connection, account_id: int, exchange_id: str, exchange_order_id: str, client_order_id: str
) -> list[int]:
    """Return the ids of an account's orders that have either id, lowest first; an empty one is that of no order."""
    query = "SELECT id FROM orders WHERE account_id=?1 AND exchange=?2 AND "
    either = f"{query} exchange_order_id=?3 UNION {query} client_order_id=?4"  # each has its own index
    ids = (exchange_order_id or None, client_order_id or None)  # NULL equals nothing
    return sorted(row["id"] for row in db.execute(either, (account_id, exchange_id, *ids)).fetchall())


def places_in_state(db: Connection, state: State, *, after: Place, most: int) -> list[Place]:
    """Return the places of unfinished orders in a state, in order, from behind `after`. Only an index is read."""
    account_id, order_id = after
    query = f"SELECT account_id, id FROM orders WHERE state=? AND state IN {UNFINISHED} AND "  # noqa: S608  # our words
    own, others = "account_id=? AND id>? ORDER BY id LIMIT ?", "account_id>? ORDER BY account_id, id LIMIT ?"
    found = db.execute(query + own, (state, account_id, order_id, most)).fetchall()
    found += db.execute(query + others, (state, account_id, most - len(found))).fetchall()
    return [tuple(row) for row in found]


def ids_of_late(db: Connection, now_ms: int) -> list[int]:
    """Return the ids of the orders that ended and are looked after all the same."""
    columns = "SELECT id FROM orders WHERE "
    found = [
        *db.execute(columns + _ABSENT, (now_ms - _LATE_MS,)).fetchall(),
        *db.execute(columns + _ENDED, (now_ms - _AFTER_MS,)).fetchall(),
    ]
    return [row[0] for row in found]


def recent(db: Connection, user_id: int, most: int) -> list[OrderRow]:
    """Return a user's newest orders that were at least confirmed, newest first."""
    query = "SELECT * FROM orders WHERE user_id=? AND client_order_id IS NOT NULL ORDER BY id DESC LIMIT ?"
    return [row_of(row) for row in db.execute(query, (user_id, most)).fetchall()]


def _no_order(order_id: int) -> UserError:
    return UserError(f"There is no order #{order_id} of yours.", code="NO_ORDER")
