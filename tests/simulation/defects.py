"""Protections taken out of the real code, one at a time, to see that the simulation misses each of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from bot import BotError, ExchangeError, OutcomeUnknown, Rejected
from bot.chat.outbox import Outbox
from bot.exchanges.transport import Departure, Transport
from bot.store.database import Connection
from bot.trading import confirm, ends, evidence, journal, queries
from bot.trading.confirm import Press
from bot.trading.gateway import Gateway
from bot.trading.reconcile import Reconciler
from tests.simulation.venue import USUAL, Trouble

Change = tuple[Any, str, Any]
"""An object, the name of its attribute, and what stands there instead."""


def second_press_sends() -> list[Change]:
    """Neither the button nor the order's state is compared when Confirm is pressed and when it is sent."""
    redeem, begin_sending = confirm.redeem, journal.begin_sending

    def spent_again(db: Connection, data: str, **who: Any) -> Any:
        found = redeem(db, data, **who)
        if found != "used":
            return found
        key = confirm._hashed(data.removeprefix(confirm.PREFIX))
        row = db.execute("SELECT * FROM buttons WHERE nonce_hash=?", (key,)).fetchone()
        return Press(row["action"], {}, row["order_id"], row["params_hash"])

    confirm_once = journal.confirm

    def confirmed_again(db: Connection, order_id: int, **rule: Any) -> Any:
        row = queries.get(db, order_id)
        return row if row.client_order_id else confirm_once(db, order_id, **rule)

    def sent_again(db: Connection, order_id: int, **request: Any) -> None:
        if queries.get(db, order_id).state == "confirmed":
            begin_sending(db, order_id, **request)

    return [
        (confirm, "redeem", spent_again),
        (journal, "confirm", confirmed_again),
        (journal, "begin_sending", sent_again),
    ]


def timeout_is_refusal() -> list[Change]:
    """No answer counts as a refusal."""
    place = Gateway.place

    async def placed(self: Gateway, *order: Any, **how: Any) -> Any:
        try:
            return await place(self, *order, **how)
        except OutcomeUnknown as error:
            raise Rejected("No answer") from error

    return [(Gateway, "place", placed)]


def unlisted_error_is_refusal() -> list[Change]:
    """An HTTP 400 that the exchange does not document counts as a refusal."""
    mapped = Transport._mapped

    def read(self: Transport, request: Any, response: Any) -> ExchangeError | None:
        error = mapped(self, request, response)
        return Rejected("HTTP 400") if error and response.status == 400 and not isinstance(error, Rejected) else error

    return [(Transport, "_mapped", read)]


def stored_after_sending() -> list[Change]:
    """`sending` is committed when the answer is there."""
    place = Gateway.place

    async def placed(self: Gateway, account: Any, order: Any, before_send: Any, **how: Any) -> Any:
        departures: list[Departure] = []

        async def later(departure: Departure) -> None:
            departures.append(departure)

        try:
            return await place(self, account, order, later, **how)
        finally:
            if departures:
                await before_send(departures[0])

    return [(Gateway, "place", placed)]


def restart_sends_again() -> list[Change]:
    """What was being sent when the bot died is sent once more."""
    check = Reconciler.check

    async def checked(self: Reconciler, row: Any) -> None:
        if row.state != "unknown" or not row.reason.startswith("The bot stopped"):
            return await check(self, row)

        async def unstored(_: Departure) -> None:
            pass

        account = await self._store.run(lambda db: queries.account_of(db, row))
        try:
            ack = await self._gateway.place(account, row.order, unstored)
        except BotError:
            return await check(self, row)
        await self._store.run(lambda db: journal.accept(db, row.id, ack.exchange_order_id, self._clock.now_ms()))
        return None

    return [(Reconciler, "check", checked)]


def restart_is_failure() -> list[Change]:
    """What was being sent when the bot died is held to have failed."""
    recover = ends.recover

    def recovered(db: Connection, now_ms: int) -> None:
        for row in queries.in_states(db, ("sending",)):
            journal.end(db, row.id, "not_placed", "The bot stopped.", now_ms)
        recover(db, now_ms)

    return [(ends, "recover", recovered)]


def first_miss_is_absence() -> list[Change]:
    """An order that is not shown once does not exist."""
    missed = evidence.missed

    def concluded(db: Connection, order_id: int, *found: Any, now_ms: int, **times: int) -> Any:
        if queries.get(db, order_id).state == "unknown":
            return journal.end(db, order_id, "not_placed", "Not found.", now_ms)
        return missed(db, order_id, *found, now_ms=now_ms, **times)

    return [(evidence, "missed", concluded)]


def failed_look_is_miss() -> list[Change]:
    """An error while asking counts as not found."""
    find_order = Gateway.find_order

    async def found(self: Gateway, *order: Any) -> Any:
        try:
            return await find_order(self, *order)
        except ExchangeError:
            return None

    return [(Gateway, "find_order", found)]


def doubt_blocks_nothing() -> list[Change]:
    """While an order is in doubt, the same may be ordered again."""
    return [(journal, "_refuse_while_in_doubt", lambda *_: None)]


def window_is_ignored() -> list[Change]:
    """Three misses are enough, though the request may still be accepted."""
    departure = Transport._departure

    def departed(self: Transport, request: Any, timestamp: int) -> Departure:
        return Departure(departure(self, request, timestamp).request_hash, timestamp)

    return [(Transport, "_departure", departed), (evidence, "MARGIN_MS", 1_000)]


def told_apart_from_outcome() -> list[Change]:
    """The message of an outcome is stored a moment after the outcome."""
    step = Outbox.step
    tell = journal._tell

    async def stepped(self: Outbox) -> bool:
        due, _untold[:] = list(_untold), []

        def store(db: Connection) -> None:
            for news in due:
                tell(db, *news)

        await self._store.run(store)
        return await step(self)

    _untold: list[tuple[int, int, int]] = []
    recover = ends.recover

    def recovered(db: Connection, now_ms: int) -> None:
        _untold.clear()  # what was only in memory is gone
        recover(db, now_ms)

    return [
        (journal, "_tell", lambda _, *news: _untold.append(news)),
        (ends, "recover", recovered),
        (Outbox, "step", stepped),
    ]


def late_order_is_ignored() -> list[Change]:
    """An order held to be absent is not looked for any more."""
    is_watched = queries.is_watched
    return [(queries, "is_watched", lambda row, now_ms: row.state != "not_placed" and is_watched(row, now_ms))]


def cancel_is_believed() -> list[Change]:
    """An order is canceled when the cancel was sent."""
    request_cancel = journal.request_cancel

    def requested(db: Connection, order_id: int, now_ms: int) -> Any:
        request_cancel(db, order_id, now_ms)
        return journal.end(db, order_id, "canceled", "You canceled it.", now_ms)

    return [(journal, "request_cancel", requested)]


def unstored_outcome_is_forgotten() -> list[Change]:
    """An order whose outcome could not be stored stays as it was until the next start."""
    expire_old = ends.expire_old

    def expired(*arguments: Any) -> Any:
        with patch.object(ends, "_SENDING_SECONDS", 10**9):
            return expire_old(*arguments)

    return [(ends, "expire_old", expired)]


def full_disk_is_ignored() -> list[Change]:
    """An order is sent though it could not be stored that it is."""
    place = Gateway.place

    async def placed(self: Gateway, account: Any, order: Any, before_send: Any, **how: Any) -> Any:
        async def before(departure: Departure) -> None:
            try:
                await before_send(departure)
            except BotError as error:
                if not isinstance(error.__cause__, sqlite3.Error):
                    raise

        return await place(self, account, order, before, **how)

    return [(Gateway, "place", placed)]


@dataclass(frozen=True, slots=True)
class Defect:
    """A protection that is missing.

    Attributes:
        changes: Takes it out.
        shows: How the violations begin of which at least one must be seen.
        crash_rate: How often the bot dies in the worlds that hunt for it.
        trouble: What else goes wrong there.
        is_quick: Whether it shows itself within some hundred orders.
    """

    changes: Callable[[], list[Change]]
    shows: tuple[str, ...]
    crash_rate: float = 0.05
    trouble: Trouble = USUAL
    is_quick: bool = True


_NO_ANSWERS = Trouble(fates={"accepted": 60, "answer lost": 30, "request lost": 10}, outages=1, failing_reads=0.5)
_LATE = Trouble(fates={"accepted": 50, "late": 50})
_FULL = Trouble(full_disks=2, full_seconds=(100, 200))
_FLICKERING = Trouble(full_disks=100, full_seconds=(0.05, 0.5))
_DEFECTS = (
    Defect(second_press_sends, ("duplicate", "sent 2 times"), 0.0),
    Defect(timeout_is_refusal, ("duplicate", "wrong verdict"), 0.0, _NO_ANSWERS),
    Defect(unlisted_error_is_refusal, ("duplicate", "wrong verdict"), 0.0),
    Defect(stored_after_sending, ("duplicate", "wrong verdict"), 0.3),
    Defect(restart_sends_again, ("duplicate", "sent 2 times"), 0.5),
    Defect(restart_is_failure, ("duplicate", "wrong verdict"), 0.5),
    Defect(first_miss_is_absence, ("duplicate", "wrong verdict"), 0.0, _LATE),
    Defect(failed_look_is_miss, ("duplicate", "wrong verdict"), 0.0, _NO_ANSWERS, is_quick=False),
    Defect(doubt_blocks_nothing, ("duplicate",), 0.0, _LATE),
    Defect(window_is_ignored, ("duplicate", "wrong verdict"), 0.0, _LATE),
    Defect(told_apart_from_outcome, ("untold",), 0.5),
    Defect(late_order_is_ignored, ("wrong verdict",), 0.0, Trouble(very_late=1)),
    Defect(cancel_is_believed, ("wrong verdict",), 0.0),
    Defect(unstored_outcome_is_forgotten, ("wrong verdict",), 0.0, _FULL, is_quick=False),
    Defect(full_disk_is_ignored, ("duplicate", "wrong verdict", "illegal"), 0.0, _FLICKERING),
)
DEFECTS = {each.changes.__name__: each for each in _DEFECTS}


@contextmanager
def built_in(defect: Defect) -> Iterator[None]:
    """Let the bot have a defect."""
    with ExitStack() as stack:
        for owner, name, instead in defect.changes():
            stack.enter_context(patch.object(owner, name, instead))
        yield
