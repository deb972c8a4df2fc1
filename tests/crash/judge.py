"""What must be true once the bot has come to rest, however it died before."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

from bot.chat.render import card
from bot.contract.errors import BotError
from bot.local.telegram import LocalTelegram
from bot.store.backup import verify
from bot.trading import events
from bot.trading.law import LAW
from bot.trading.orders import OrderRow, row_of
from bot.trading.upkeep import events_are_whole
from tests.crash.exchange import NAME, Exchange
from tests.crash.inside import ANN

_NEVER_WAS = ("rejected", "not_placed", "expired")


@contextlib.contextmanager
def reading(database: Path) -> Iterator[sqlite3.Connection]:
    """Open the bot's file as it lies there."""
    with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        yield connection


def unsettled(database: Path, exchange: Exchange) -> list[str]:
    """Return what the bot has still to find out or to tell."""
    with reading(database) as db:
        waiting = db.execute("SELECT kind FROM outbox").fetchall()
        return [f"untold: {row['kind']}" for row in waiting] + wrong_verdicts(_rows(db), exchange)


def judged(database: Path, exchange: Exchange, telegram: LocalTelegram, wanted: Decimal, lives: int) -> list[str]:
    """Return everything that ought not to be, in words.

    Args:
        database: The bot's file.
        exchange: What really happened.
        telegram: What was shown.
        wanted: The quantity that the person wanted once.
        lives: How often the bot was started.
    """
    with reading(database) as db:
        rows = _rows(db)
        broken = wrong_verdicts(rows, exchange)
        broken += _duplicates(rows, exchange, wanted)
        broken += _wrong_steps(db, rows, exchange)
        broken += _wrong_cards(rows, telegram, lives)
        if number := events.verify_chain(db):
            broken.append(f"chain: event {number} is not as it was written")
        if (found := db.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
            broken.append(f"damaged: {found}")
        broken += [f"untold: {row['kind']}" for row in db.execute("SELECT kind FROM outbox").fetchall()]
        broken += [
            f"not handled: {row['payload']}"
            for row in db.execute("SELECT payload FROM inbox WHERE payload IS NOT NULL").fetchall()
        ]
    for copy in (database.parent / "backups" / "copy.db", *database.parent.glob("*-before-migration-*.db")):
        broken += _half_copy(copy)
    return broken


def wrong_verdicts(rows: list[OrderRow], exchange: Exchange) -> list[str]:
    """Return the orders whose row says something else than the exchange, and those without a row."""
    found = {placed.client_id: placed for placed in exchange.orders}
    wrong = []
    for row in rows:
        placed = found.pop(row.client_order_id, None)
        if placed is None and row.state not in _NEVER_WAS:
            wrong.append(f"wrong verdict: #{row.id} is {row.state}, but was never placed")
        if placed is not None and (row.state, row.filled) != (placed.state, placed.filled):
            truth = f"{placed.state}, {placed.filled} filled"
            wrong.append(f"wrong verdict: #{row.id} is {row.state}, {row.filled} filled; in truth {truth}")
    return wrong + [f"lost: no row knows {client_id}" for client_id in found]


def _rows(db: sqlite3.Connection) -> list[OrderRow]:
    return [row_of(row) for row in db.execute("SELECT * FROM orders ORDER BY id")]


def _duplicates(rows: list[OrderRow], exchange: Exchange, wanted: Decimal) -> list[str]:
    wrong = []
    sent = Counter(client_id for client_id, _ in exchange.placing)
    wrong += [f"duplicate: {client_id} was sent {count} times" for client_id, count in sent.items() if count > 1]
    accepted = Counter(placed.client_id for placed in exchange.orders)
    wrong += [f"duplicate: {count} orders {client_id}" for client_id, count in accepted.items() if count > 1]
    ids = Counter(row.client_order_id for row in rows if row.client_order_id)
    wrong += [f"duplicate: {count} rows with id {client_id}" for client_id, count in ids.items() if count > 1]
    bought = sum(placed.quantity == wanted for placed in exchange.orders)
    if bought > 1 or len(exchange.orders) != bought:
        wrong.append(f"duplicate: {len(exchange.orders)} orders for one wish")
    return wrong


def _wrong_steps(db: sqlite3.Connection, rows: list[OrderRow], exchange: Exchange) -> list[str]:
    """Return steps that the law forbids, orders sent before that was stored, and verdicts that were taken back."""
    wrong = []
    placed = {each.client_id for each in exchange.orders}
    sent = {client_id for client_id, _ in exchange.placing}
    for row in rows:
        kinds = [kind for _, kind, _ in events.timeline(db, row.id)]
        states = [kind for kind in kinds if kind in LAW]
        steps = pairwise(states)
        wrong += [f"illegal: #{row.id} went from {a} to {b}" for a, b in steps if a != b and b not in LAW[a]]
        if states[-1] != row.state:
            wrong.append(f"illegal: #{row.id} is {row.state}, its last event says {states[-1]}")
        if row.client_order_id in sent and "sending" not in states:
            wrong.append(f"illegal: #{row.id} was sent and never `sending`")
        if row.client_order_id in placed and (denied := set(states) & set(_NEVER_WAS)):
            wrong.append(f"wrong verdict: #{row.id} was called {denied.pop()}, though the exchange had it")
    return wrong


def _wrong_cards(rows: list[OrderRow], telegram: LocalTelegram, lives: int) -> list[str]:
    wrong = []
    shown = {message.id: message.text for message in telegram.messages(ANN) if message.sender.id != ANN}
    others = {number: text for number, text in shown.items() if " · limit · " in text or " · market · " in text}
    for row in rows:
        if row.message_id is None:
            if row.state != "expired":
                wrong.append(f"card: #{row.id} is {row.state} and has none")
            continue
        others.pop(row.message_id, None)
        due = card(row, account="main", exchange=NAME.capitalize()).text.fitting().text
        said = shown.get(row.message_id, "")
        is_closed_by_hand = row.state == "not_placed" and said.startswith(f"#{row.id} is closed as not placed")
        if said != due and not is_closed_by_hand:
            wrong.append(f"card: #{row.id} is {row.state}; it says {said!r}")
    if len(others) > lives - 1:
        wrong.append(f"card: more cards than crashes belong to no order: {list(others.values())}")
    told = [*shown.values(), *(answer.text for answer in telegram.answers)]
    return wrong + [f"told: {text}" for text in told if "inside the bot" in text]


def _half_copy(copy: Path) -> list[str]:
    """Return what is wrong with a copy: one that is only half there must not pass for a whole one."""
    if not copy.exists():
        return []
    try:
        verify(copy, events_are_whole)
    except BotError:
        return [] if copy.parent.name == "backups" else [f"backup: {copy.name} is not whole"]
    return [f"backup: {copy} passes for whole, though its making was cut short"] if copy.name == "copy.db" else []
