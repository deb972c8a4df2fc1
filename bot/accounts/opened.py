"""Keys that were opened, kept for the accounts that were used last.

To open an account's keys takes ten times as long as to sign with them, and a `Secret` that stays signs sooner. Nothing
is decided here: the sealed rows are read for every signature, and what was opened from other rows does not count.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, NoReturn, TypeAlias

from bot.contract.wire import Credentials
from bot.store.database import Connection

MOST = 16
"""How many accounts' keys are kept. Some kilobytes each; whoever does nothing costs nothing."""

Sealed: TypeAlias = tuple[tuple[Any, ...], ...]
"""All rows that an account's keys are opened from, sealed as they are."""


class Opened:
    """The opened keys of a few accounts, until their rows change or others are used. Cannot pickle or copy itself."""

    __slots__ = ("_erased", "_kept", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()  # signatures are made in one thread, rows are erased in another
        self._kept: OrderedDict[int, tuple[Sealed, Credentials]] = OrderedDict()
        self._erased: set[int] = set()

    def __len__(self) -> int:
        """Return how many accounts' keys are here."""
        return len(self._kept)

    def watch(self, db: Connection) -> None:
        """Drop an account's keys as soon as `db`, the connection that writes, erases one of its rows."""
        db.create_function("keys_are_erased", 1, self.erased)
        db.execute(
            "CREATE TEMP TRIGGER IF NOT EXISTS keys_erased AFTER DELETE ON main.credentials"
            " BEGIN SELECT keys_are_erased(OLD.account_id); END"
        )

    def get(self, account_id: int, rows: Sealed) -> Credentials | None:
        """Return what was opened from these very rows, if it is still here."""
        with self._lock:
            found = self._kept.get(account_id)
            if found is None:
                return None
            if found[0] != rows:
                del self._kept[account_id]
                return None
            self._kept.move_to_end(account_id)
            return found[1]

    def keep(self, account_id: int, rows: Sealed, keys: Credentials) -> None:
        """Keep what was opened from `rows`, instead of the keys that were not used for the longest time."""
        with self._lock:
            if account_id in self._erased:
                return
            self._kept[account_id] = rows, keys
            if len(self._kept) > MOST:
                self._kept.popitem(last=False)

    def erased(self, account_id: int) -> None:
        """Drop an account's keys, and keep none until `sealed`: until the commit, the old rows can still be read."""
        with self._lock:
            self._erased.add(account_id)
            self._kept.pop(account_id, None)

    def sealed(self, account_id: int) -> None:
        """Take note that the account has new keys."""
        with self._lock:
            self._erased.discard(account_id)

    def __reduce_ex__(self, *_: object) -> NoReturn:
        raise TypeError("opened keys can be neither copied nor pickled")
