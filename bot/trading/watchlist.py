"""Which orders are looked after, and which of them is asked after next: in memory, whatever their number."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from bot.clock import Clock
from bot.store.database import Store
from bot.store.errors import StoreError
from bot.trading import queries
from bot.trading.law import DOUBTFUL, LIVE, State
from bot.trading.orders import OrderRow
from bot.trading.queries import Place, Watched
from bot.trading.turns import Turns

Key: TypeAlias = tuple[int, str]
"""An account and the exchange its orders were drafted for: real or paper, whatever was switched since."""
Subject: TypeAlias = int | Key
"""What is asked after: one order, or an account, whose open orders are listed."""
Taken: TypeAlias = tuple[Subject, float]
"""With the interval after which its turn came, in seconds; 0 when it was called for."""

log = logging.getLogger(__name__)

SWEEP_SECONDS = 300.0
_COMPARE_SECONDS = 30.0
_SLICE = 2000
_NAMED_AT_ONCE = 200
_FIRST_SECONDS: dict[State, float] = {"not_placed": 600.0, "filled": 15.0, "canceled": 15.0, "unknown": 1.0}
_FIRST_OF_OTHERS = 30.0


class Watchlist:
    """Keeps the turns of what is looked after.

    An order comes in when the bot starts, when it is called for, and at the latest when the numbers in the database
    are compared with those in here. It goes when its row is read and need not be looked after any more.

    Args:
        store: The database; it is only read.
        clock: Ours.

    Attributes:
        busy: The orders that are live or in doubt, of each account that has any, as far as they were read.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.busy: defaultdict[Key, set[int]] = defaultdict(set)
        self._turns: Turns[Subject] = Turns()
        self._keys: dict[int, Key] = {}
        self._taken: dict[Subject, bool] = {}  # with whether it was called for meanwhile
        self._called: dict[int, None] = {}  # and not read yet, in their order
        self._compare_due = 0.0
        self._comparison: Iterator[None] = iter(())

    def __contains__(self, subject: Subject) -> bool:
        return subject in self._turns or subject in self._taken

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def exchanges(self) -> tuple[str, ...]:
        """The exchanges at which there is or was something to look after."""
        return self._turns.lanes

    def learn(self, found: Iterable[Watched]) -> None:
        """Look after all these orders: each is due now, what is asked after often before what is asked after seldom."""
        now = self._clock.monotonic()
        self._compare_due = now + _COMPARE_SECONDS
        for order_id, account_id, exchange_id, state in found:
            if order_id not in self:
                self._note(order_id, (account_id, exchange_id), state)
                self._turns.put(order_id, exchange_id, now, _FIRST_SECONDS.get(state, _FIRST_OF_OTHERS))

    def call(self, order_id: int) -> None:
        """Let an order be asked after at once; if it is being asked after, then once more."""
        if order_id in self._taken:
            self._taken[order_id] = True
        elif order_id in self._turns:
            self._turns.put(order_id, self._keys[order_id][1], self._clock.monotonic(), 0.0)
        else:
            self._called[order_id] = None

    def list_account(self, key: Key, *, every: float = 0.0) -> None:
        """Let the open orders of an account be listed now; if they are being listed, then once more.

        Args:
            key: Whose.
            every: How long it may wait behind others, as `bot.trading.turns` has it; by default it is ahead of all.
        """
        if key in self._taken:
            self._taken[key] = True
        else:
            self._turns.put(key, key[1], self._clock.monotonic(), every)

    def read_called(self) -> bool:
        """Read which orders were called for that are not known yet, and say whether more of them wait."""
        order_ids = list(self._called)[:_NAMED_AT_ONCE]
        if order_ids:
            now = self._clock.monotonic()
            for row in self._read(order_ids):
                self.note(row)
                self._turns.put(row.id, row.exchange, now, 0.0)
            for order_id in order_ids:
                del self._called[order_id]
        return bool(self._called)

    def _read(self, order_ids: list[int]) -> list[OrderRow]:
        """Return the orders of these numbers that are to be watched; one that cannot be read holds up no other."""
        now_ms = self._clock.now_ms()
        try:
            return self._store.look(lambda db: queries.watched(db, now_ms, order_ids))
        except StoreError:
            raise
        except Exception:
            if len(order_ids) > 1:
                return [row for each in order_ids for row in self._read([each])]
            log.exception("order #%s could not be read", order_ids[0])
            return []

    def compare(self) -> None:
        """Compare some of the numbers in the database with those in here, if it is time; call for what is missing.

        Whoever changes an order calls for it. Should that ever be forgotten, or a row come from elsewhere, its fills
        would stay untold until the next start. So all numbers are gone through every half minute, or as fast as they
        can be at some thousands a turn.
        """
        now = self._clock.monotonic()
        if next(self._comparison, self) is self and now >= self._compare_due:
            self._compare_due = now + _COMPARE_SECONDS
            self._comparison = self._compared()
            next(self._comparison, None)

    def take(self, exchange_id: str) -> Taken | None:
        """Take what is to be asked after now. It must be put back, or dropped."""
        found = self._turns.take(exchange_id, self._clock.monotonic())
        if found is not None:
            self._taken[found[0]] = False
        return found

    def put_back(self, subject: Subject, due: float, every: float) -> None:
        """Let what was taken be asked after again at `due`; at once if it was called for meanwhile.

        Args:
            subject: What was taken.
            due: The time by the monotonic clock.
            every: The interval that led to it, in seconds.
        """
        if self._taken.pop(subject, False):
            due, every = self._clock.monotonic(), 0.0
        self._turns.put(subject, subject[1] if isinstance(subject, tuple) else self._keys[subject][1], due, every)

    def drop(self, subject: Subject) -> None:
        """Look after it no more; unless it was called for meanwhile, then it is read again first."""
        was_called = self._taken.pop(subject, False)
        self._turns.drop(subject)
        if isinstance(subject, tuple):
            if was_called:
                self.list_account(subject)
            return
        self._release(subject, self._keys.pop(subject))
        if was_called:
            self._called[subject] = None

    def note(self, row: OrderRow) -> None:
        """Note in which state an order is."""
        self._note(row.id, (row.account_id, row.exchange), row.state)

    def next_due(self, exchange_id: str) -> float:
        """Return when something is to be asked after there, by the monotonic clock; infinity for never."""
        return self._turns.next_due(exchange_id)

    def _note(self, order_id: int, key: Key, state: State) -> None:
        self._keys[order_id] = key
        if state not in LIVE and state not in DOUBTFUL:
            self._release(order_id, key)
            return
        self.busy[key].add(order_id)
        if key not in self:
            self._turns.put(key, key[1], self._clock.monotonic() + SWEEP_SECONDS, SWEEP_SECONDS)

    def _release(self, order_id: int, key: Key) -> None:
        if key in self.busy:
            self.busy[key].discard(order_id)
            if not self.busy[key]:
                del self.busy[key]

    def _compared(self) -> Iterator[None]:
        for state in (*LIVE, *DOUBTFUL):
            last, is_full = (0, 0), True
            while is_full:
                found = self._places(state, last)
                self._call_missing(order_id for _, order_id in found)
                if is_full := len(found) == _SLICE:
                    last = found[-1]
                    yield
        now_ms = self._clock.now_ms()
        self._call_missing(self._store.look(lambda db: queries.ids_of_late(db, now_ms)))

    def _places(self, state: State, after: Place) -> list[Place]:
        return self._store.look(lambda db: queries.places_in_state(db, state, after=after, most=_SLICE))

    def _call_missing(self, order_ids: Iterable[int]) -> None:
        self._called |= dict.fromkeys(each for each in order_ids if each not in self)
