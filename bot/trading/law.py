"""The law of an order's life: which state may follow which. The database enforces the same table by a trigger."""

from __future__ import annotations

from typing import Literal, TypeAlias

State: TypeAlias = Literal[
    "proposed",
    "confirmed",
    "sending",
    "unknown",
    "needs_human",
    "open",
    "partially_filled",
    "filled",
    "canceled",
    "rejected",
    "not_placed",
    "expired",
]

_FOUND: tuple[State, ...] = ("open", "partially_filled", "filled", "canceled")

LAW: dict[State, tuple[State, ...]] = {
    "proposed": ("confirmed", "sending", "expired"),
    "confirmed": ("sending", "expired", "not_placed"),
    "sending": (*_FOUND, "rejected", "not_placed", "unknown"),
    "unknown": (*_FOUND, "rejected", "not_placed", "needs_human"),
    "needs_human": (*_FOUND, "rejected", "not_placed"),
    "open": ("partially_filled", "filled", "canceled", "rejected"),
    "partially_filled": ("filled", "canceled"),
    "not_placed": ("open", "partially_filled", "filled", "canceled"),  # found late: adopted, and its owner told
    "filled": (),
    "canceled": (),
    "rejected": (),
    "expired": (),
}
"""A `rejected` after `open` is a stop order that the exchange could not trigger. `proposed` goes to `sending` where the
request is signed and waits for nothing: confirmed and on its way in one commit."""

LIVE: tuple[State, ...] = ("open", "partially_filled")
DOUBTFUL: tuple[State, ...] = ("sending", "unknown", "needs_human")
ENDS: tuple[State, ...] = ("filled", "canceled", "rejected", "not_placed", "expired")
