"""What an order looks like in chat: one card, drawn from the journal's row in every state. Pure."""

from __future__ import annotations

from decimal import Decimal
from functools import partial

from bot.chat.numbers import format_amount, format_money, format_percent, format_price
from bot.chat.reply import Key, Reply
from bot.chat.text import Text
from bot.trading.confirm import Button
from bot.trading.orders import OrderRow

_HEADS = {
    "proposed": "",
    "confirmed": "⏳ Sending…",
    "sending": "⏳ Sending…",
    "unknown": "❔ Not sure yet",
    "needs_human": "❔ Please look",
    "open": "✅ Accepted",
    "partially_filled": "◐ Partly filled",
    "filled": "✅ Filled",
    "canceled": "✖ Canceled",
    "rejected": "✖ Refused",
    "not_placed": "✖ Not placed",
    "expired": "✖ Not sent",
}
_ENDS_AT_ONCE = {
    "IOC": "What could not be filled at once was canceled, as IOC asks.",
    "FOK": "It could not be filled whole and at once, so it was canceled, as FOK asks.",
}
_ASKING_SECONDS = 86_400
_AGAIN = ("expired", "rejected", "not_placed", "canceled", "filled")


def card(row: OrderRow, *, account: str, exchange: str, mark: str = "") -> Reply:
    """Return an order's card.

    Args:
        row: The order.
        account: The account's label.
        exchange: The exchange's title.
        mark: The exchange's, see `ExchangeInfo.mark`.
    """
    text = Text()
    if head := _head(row):
        text.bold(head).line(f" · #{row.id}")
    text.bold(f"{row.side.upper()} {row.symbol}").line(f" · {_kind(row)} · {exchange}·{account}{mark}")
    text.table(_preview(row) if row.state == "proposed" else _progress(row))
    if row.state == "proposed":
        for warning in row.params["warnings"]:
            text.line(f"⚠ {warning}")
    for sentence in _explanation(row, exchange):
        text.line(sentence)
    return Reply(text, _buttons(row))


def _head(row: OrderRow) -> str:
    if row.is_missing:
        return "❔ Please look"
    return f"{_HEADS[row.state]} {_share(row)}".rstrip() if row.state == "partially_filled" else _HEADS[row.state]


def summary(row: OrderRow) -> str:
    """Return an order in one line."""
    price = row.order.price
    at = "market" if price is None else f"@ {format_price(price, row.market.price_step)}"
    mark = " · found at the exchange" if row.external else ""
    return f"#{row.id} {row.side.upper()} {row.symbol} {format_amount(row.quantity)} {at} · {state_words(row)}{mark}"


def state_words(row: OrderRow) -> str:
    """Return an order's state as people say it."""
    if row.is_missing:
        return "not shown any more"
    if row.cancel_requested_ms and not row.is_done:
        return "canceling"
    if row.state == "partially_filled":
        return f"filled {_share(row)}"
    return row.state.replace("_", " ")


def _kind(row: OrderRow) -> str:
    order = row.order
    words = {"stop_limit": "stop limit", "stop_market": "stop"}.get(order.type, order.type)
    if order.post_only:
        words += " · post-only"
    if order.time_in_force != "GTC":
        words += f" · {order.time_in_force}"
    return words


def _preview(row: OrderRow) -> list[tuple[str, ...]]:
    order, params, market = row.order, row.params, row.market
    is_quote = params["size_in"] == "quote"
    about = "≈ " if is_quote or order.type == "market" else ""
    rows: list[tuple[str, ...]] = [("Amount", f"{'≈ ' if is_quote else ''}{format_amount(row.quantity)} {market.base}")]
    if order.stop_price is not None:
        rows.append(("Trigger", format_price(order.stop_price, market.price_step)))
    if order.price is not None:
        rows.append(("Price", format_price(order.price, market.price_step) + _distance(order.price, row)))
    elif params["average_price"]:
        rows.append(("Price", f"≈ {format_price(Decimal(params['average_price']), market.price_step)} market"))
    fee = f"  fee ≈ {format_money(Decimal(params['fee']))}" if params["fee"] else ""
    rows.append(("Total", f"{about}{format_money(row.notional)} {market.quote}{fee}"))
    if params["free_after"] is not None:
        rows.append(("Then free", f"{format_money(Decimal(params['free_after']))} {params['spends']}"))
    return rows


def _distance(price: Decimal, row: OrderRow) -> str:
    last = row.order.reference_price
    if not last:
        return ""
    return f"  last {format_price(last, row.market.price_step)} ({format_percent(price / last - 1)})"


def _progress(row: OrderRow) -> list[tuple[str, ...]]:
    market, order = row.market, row.order
    rows: list[tuple[str, ...]] = []
    if row.state in ("open", "partially_filled"):
        share = f" ({_share(row)})" if row.filled else ""
        rows.append(("Filled", f"{format_amount(row.filled)} of {format_amount(row.quantity)} {market.base}{share}"))
    elif row.filled:
        rows.append(("Filled", f"{format_amount(row.filled)} {market.base}"))
    else:
        rows.append(("Amount", f"{format_amount(row.quantity)} {market.base}"))
    if order.stop_price is not None:
        rows.append(("Trigger", format_price(order.stop_price, market.price_step)))
    if order.price is not None:
        rows.append(("Price", format_price(order.price, market.price_step)))
    if row.average_price is not None and row.filled:
        rows.append(("Average", format_price(row.average_price, market.price_step)))
        rows.append(("Total", f"{format_money(row.filled * row.average_price)} {market.quote}"))
    if row.fee is not None and row.filled:
        rows.append(("Fee", f"{format_amount(row.fee)} {row.fee_asset}"))
    if row.exchange_order_id:
        rows.append(("Order id", row.exchange_order_id))
    return rows


def _share(row: OrderRow) -> str:
    return f"{row.filled / row.quantity * 100:.0f}%" if row.quantity else ""


def _explanation(row: OrderRow, exchange: str) -> list[str]:
    if row.state == "unknown":
        return [f"{exchange} did not answer clearly. The order may exist. Nothing will be sent again. Checking…"]
    if row.state == "needs_human":
        return [
            f"{exchange} does not show this order, but cannot prove that it will not turn up. Look at {exchange} "
            "yourself, then tell me."
        ]
    if row.is_missing:
        return [
            f"{exchange} had this order and shows it no more, neither open nor ended. Look at {exchange} yourself, "
            "then tell me."
        ]
    sentences = [row.reason] if row.reason else []
    if row.state == "canceled" and not row.reason and row.order.time_in_force in _ENDS_AT_ONCE:
        sentences.append(_ENDS_AT_ONCE[row.order.time_in_force])
    if row.cancel_requested_ms and not row.is_done:
        sentences.append("Cancel requested; waiting for the exchange to say so.")
    if row.external:
        sentences.append("Found at the exchange under an id of this bot, which had no record of it. It was left alone.")
    if row.late:
        sentences.append("It turned up late, after it had been held to be absent.")
    if row.state == "expired" and not row.reason:
        sentences.append("Nothing was sent.")
    return sentences


def _buttons(row: OrderRow) -> tuple[tuple[Key, ...], ...]:
    button = partial(Button, order_id=row.id)
    if row.state == "proposed" and row.reason:
        return ((button("✖ Cancel", "drop", seconds=300),),)
    if row.state == "proposed":
        yes = button("✅ Confirm", "confirm", params_hash=row.params_hash, seconds=60, style="success")
        if row.params.get("limits", {}).get("asks_code"):
            yes = button("✅ Confirm with a code", "confirm_code", seconds=60, style="success")
        return (
            (
                yes,
                button("✖ Cancel", "drop", seconds=60),
            ),
            (button("½", "scale", payload={"by": "0.5"}), button("×2", "scale", payload={"by": "2"})),
        )
    if row.is_missing:
        look = button("↻ Check again", "refresh", seconds=_ASKING_SECONDS)
        return ((look, button("I looked: it is gone", "not_placed", seconds=_ASKING_SECONDS, style="danger")),)
    if row.state in ("open", "partially_filled"):
        if row.cancel_requested_ms:
            return ((button("↻ Refresh", "refresh"),),)
        return ((button("✖ Cancel order", "cancel", style="danger"), button("↻ Refresh", "refresh")),)
    if row.state in ("unknown", "needs_human"):
        look = button("↻ Check again", "refresh", seconds=86_400)
        if row.state == "unknown":
            return ((look,),)
        return ((look, button("I looked: not placed", "not_placed", seconds=86_400, style="danger")),)
    if row.refusal == "InsufficientFunds":
        less = button("½ Smaller amount", "again", payload={"by": "0.5"}, seconds=86_400)
        return ((less, button("↻ New preview", "again", seconds=86_400)),)
    if row.state == "rejected":
        return ((button("↻ New preview", "again", seconds=86_400),),)
    if row.state in _AGAIN:
        return ((button("↻ Again", "again", seconds=86_400),),)
    return ()
