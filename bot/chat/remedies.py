"""What a refused order is answered with: the cause, and the button that helps."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from bot.chat.reply import Key, Reply
from bot.chat.text import Text
from bot.trading.allowance import LimitReached
from bot.trading.amounts import format_amount, round_down
from bot.trading.confirm import Button
from bot.trading.intent import Amount, Intent, Reference
from bot.trading.sizing import BelowMinimum

_BEST_PRICE = frozenset({"LIMIT_COLLAR", "LIMIT_SLIPPAGE"})
_CENT = Decimal("0.01")


def refusal(text: str, code: str) -> Reply:
    """Return what a person reads when something was not done."""
    message = Text().bold("✖ Not done")
    if code:
        message.plain(" · ").code(code)
    return Reply(message.line().plain(text))


def remedies(error: BelowMinimum | LimitReached, intent: Intent) -> tuple[tuple[Key, ...], ...]:
    """Return the buttons below a refused order; each leads to a preview or shows the limits."""
    if isinstance(error, BelowMinimum):
        size = f"{format_amount(error.least.value)} {error.least.asset}"
        return ((_ask(f"Raise to {size}", replace(intent, size=error.least)),),)
    shown = Button("My limits", "limits")
    if error.code in _BEST_PRICE:
        best = Reference("ask" if intent.side == "buy" else "bid")
        return ((_ask("At the best price", replace(intent, price=best)), shown),)
    most = round_down(error.most or Decimal(0), _CENT)
    if most and (intent.pair or "").endswith("USDT"):
        smaller = replace(intent, size=Amount(most, "USDT"))
        return ((_ask(f"Make it {format_amount(most)} USDT", smaller), shown),)
    return ((shown,),)


def _ask(text: str, intent: Intent) -> Button:
    return Button(text, "ask", {"intent": intent.to_json()}, style="primary")
