"""The names that the exchanges know our orders by."""

from __future__ import annotations

import base64
import hmac
import secrets
from functools import lru_cache

from bot.contract.errors import UserError
from bot.contract.models import ClientId
from bot.store.database import Connection
from bot.trading.orders import OrderRow


def mint(db: Connection, row: OrderRow, rule: ClientId) -> str:
    """Return the one client order id of an order, by the exchange's rule.

    A text id is derived from the order's number and time under a key of this instance, so that nobody can guess it,
    two instances never share one, and a number that an old backup gives again has another. A counter rises per account
    from a random start.
    """
    if rule.kind == "counter":
        query = (
            "SELECT max(CAST(client_order_id AS INTEGER)) AS last FROM orders"
            " WHERE account_id=? AND client_order_id GLOB '[0-9]*'"
        )
        last = db.execute(query, (row.account_id,)).fetchone()["last"]
        floor = db.execute("SELECT value FROM meta WHERE key=?", (f"client_id_floor:{row.account_id}",)).fetchone()
        last = max(last or 0, int(floor["value"])) if floor else last  # set by a restore: see bot.trading.restored
        following = secrets.randbelow(min(1_000_000_000, (rule.max_value + 1) // 2)) + 1 if last is None else last + 1
        if following > rule.max_value:
            raise UserError("This account has used up its order numbers. Connect the key under a new label.")
        return str(following)
    key = db.execute("SELECT value FROM meta WHERE key='client_id_key'").fetchone()[0]
    return ("t" + _letters(key, row.id, row.created_ms))[: min(26, rule.max_length)]


@lru_cache(maxsize=1024)  # asked for when an order is signed, and again when it leaves
def _letters(key: str, order_id: int, created_ms: int) -> str:
    digest = hmac.digest(bytes.fromhex(key), f"{order_id} {created_ms}".encode(), "sha256")
    return base64.b32encode(digest[:20]).decode().lower()  # 32 of them; of the rest none would be used
