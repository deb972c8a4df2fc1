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
    """Return what the bot has still to hear, to find out or to tell."""
    with reading(database) as db:
        return _unfinished(db) + wrong_verdicts(_rows(db), exchange)


def judged(
    database: Path, exchange: Exchange, telegram: LocalTelegram, wanted: list[Decimal], since: int, kills: int
) -> list[str]:
    """Return everything that ought not to be, in words: of the latest wish, and of those before it.

    Args:
        database: The bot's file.
        exchange: What really happened.
        telegram: What was shown.
        wanted: The quantities that the person wanted, each once.
        since: The newest message from before the latest wish.
        kills: How often the bot was killed over the latest wish.
    """
    with reading(database) as db:
        rows = _rows(db)
        broken = wrong_verdicts(rows, exchange)
        broken += _duplicates(rows, exchange, wanted)
        broken += _wrong_steps(db, rows, exchange)
        broken += _wrong_cards(rows, telegram, since, kills)
        if number := events.verify_chain(db):
            broken.append(f"chain: event {number} is not as it was written")
        if (found := db.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
            broken.append(f"damaged: {found}")
        broken += _unfinished(db)
    for copy in database.parent.glob("backups/*.db"):
        broken += _half_copy(copy)
    for copy in database.parent.glob("*-before-migration-*.db"):
        broken += _whole_copy(copy)
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


def _unfinished(db: sqlite3.Connection) -> list[str]:
    untold = db.execute("SELECT kind FROM outbox").fetchall()
    unheard = db.execute("SELECT payload FROM inbox WHERE payload IS NOT NULL").fetchall()
    return [f"untold: {row['kind']}" for row in untold] + [f"not handled: {row['payload']}" for row in unheard]


def _rows(db: sqlite3.Connection) -> list[OrderRow]:
    return [row_of(row) for row in db.execute("SELECT * FROM orders ORDER BY id")]


def _duplicates(rows: list[OrderRow], exchange: Exchange, wanted: list[Decimal]) -> list[str]:
    wrong = []
    sent = Counter(client_id for client_id, _ in exchange.placing)
    wrong += [f"duplicate: {client_id} was sent {count} times" for client_id, count in sent.items() if count > 1]
    accepted = Counter(placed.client_id for placed in exchange.orders)
    wrong += [f"duplicate: {count} orders {client_id}" for client_id, count in accepted.items() if count > 1]
    ids = Counter(row.client_order_id for row in rows if row.client_order_id)
    wrong += [f"duplicate: {count} rows with id {client_id}" for client_id, count in ids.items() if count > 1]
    bought = Counter(placed.quantity for placed in exchange.orders)
    wrong += [
        f"duplicate: {count} orders for one wish of {quantity}" for quantity, count in bought.items() if count > 1
    ]
    return wrong + [f"duplicate: nobody wished for {quantity}" for quantity in bought if quantity not in wanted]


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


def _wrong_cards(rows: list[OrderRow], telegram: LocalTelegram, since: int, kills: int) -> list[str]:
    wrong = []
    shown = {message.id: message.text for message in telegram.messages(ANN) if message.sender.id != ANN}
    cards = {number: text for number, text in shown.items() if " · limit · " in text or " · market · " in text}
    others = {number: text for number, text in cards.items() if number > since}
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
    if len(others) > kills:
        wrong.append(f"card: more cards than crashes belong to no order: {list(others.values())}")
    told = [*shown.values(), *(answer.text for answer in telegram.answers)]
    return wrong + [f"told: {text}" for text in told if "inside the bot" in text]


def _half_copy(copy: Path) -> list[str]:
    return [] if _damage(copy) else [f"backup: {copy} passes for whole, though its making was cut short"]


def _whole_copy(copy: Path) -> list[str]:
    damage = _damage(copy)
    return [f"backup: {copy.name} is not whole: {damage}"] if damage else []


def _damage(copy: Path) -> str:
    try:
        verify(copy, events_are_whole)
    except BotError as error:
        return str(error)
    return ""
