"""Why an order does not go where it was asked to go."""

from __future__ import annotations

from collections.abc import Collection

from bot.contract.errors import BotError, UserError
from bot.trading.orders import OrderRow


class IllegalTransition(BotError):
    """An order was asked to go where the law does not lead; nothing was changed."""


class Stays(Exception):
    """An order that was to leave at once may not. Nothing was changed, once the transaction is undone."""


class InDoubt(UserError):
    """The same account, pair and side has orders that may exist. The person may order all the same, naming them.

    Args:
        rows: The orders in doubt.
    """

    def __init__(self, rows: Collection[OrderRow]) -> None:
        self.order_ids = tuple(row.id for row in rows)
        named = " and ".join(f"#{row.id} ({row.side} {row.symbol})" for row in rows)
        verb, what = ("are", "they") if len(rows) > 1 else ("is", "it")
        super().__init__(
            f"Order {named} {verb} still in doubt: {what} may exist. Wait until that is settled, so that nothing is "
            "bought or sold twice.",
            code="IN_DOUBT",
        )


class ApprovalNeeded(UserError):
    """The order waits for the press of a second person. Nothing was changed yet."""

    def __init__(self) -> None:
        super().__init__("An order of this worth needs the approval of a second person.", code="APPROVAL")
