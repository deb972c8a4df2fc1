"""An order's card in every state, drawn from the journal's row alone."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bot.chat.render import card, state_words, summary
from bot.chat.reply import Reply
from bot.trading.confirm import Button
from bot.trading.law import ENDS, State
from bot.trading.orders import OrderRow

STATES = get_args(State)
PARAMS: dict[str, Any] = {
    "symbol": "BTC/USDT",
    "exchange_symbol": "BTCUSDT",
    "base": "BTC",
    "quote": "USDT",
    "price_step": "0.01",
    "quantity_step": "0.000001",
    "quote_step": "0.01",
    "side": "buy",
    "type": "limit",
    "size": "0.008333",
    "size_in": "base",
    "price": "60000.00",
    "stop_price": None,
    "time_in_force": "GTC",
    "post_only": False,
    "reference_price": "60412.00",
    "quantity": "0.008333",
    "notional": "499.98",
    "average_price": "60000.00",
    "fee": "0.49998",
    "spends": "USDT",
    "free_after": "1204.11",
    "warnings": [],
}


def row(state: State = "proposed", params: dict[str, Any] | None = None, **changes: Any) -> OrderRow:
    """A limit buy of Ann's."""
    made = OrderRow(
        id=42,
        account_id=1,
        user_id=1001,
        exchange="bitget",
        symbol="BTC/USDT",
        side="buy",
        state=state,
        reason="",
        params={**PARAMS, **(params or {})},
        params_hash=b"the-hash",
        intent="{}",
        client_order_id="",
        exchange_order_id="",
        request_hash=None,
        window_ends_ms=None,
        misses=0,
        last_miss_ms=None,
        filled=Decimal(0),
        average_price=None,
        fee=None,
        fee_asset="",
        chat_id=77,
        message_id=None,
        expires_ms=0,
        cancel_requested_ms=None,
        late=False,
        doubted=False,
        created_ms=0,
        sent_ms=None,
        updated_ms=0,
        external=False,
        refusal="",
    )
    return replace(made, **changes)


def drawn(order: OrderRow) -> Reply:
    return card(order, account="main", exchange="Bitget")


def text(order: OrderRow) -> str:
    return drawn(order).text.fitting().text


def actions(order: OrderRow) -> list[str]:
    return [key.action for keys in drawn(order).rows for key in keys if isinstance(key, Button)]


def test_card_preview_shows_exactly_what_will_be_sent() -> None:
    """The frozen numbers, with the distance from the last price, fee and what stays free."""
    assert text(row()) == (
        "BUY BTC/USDT · limit · Bitget·main\n"
        "Amount     0.008333 BTC\n"
        "Price      60,000.00  last 60,412.00 (-0.68%)\n"
        "Total      499.98 USDT  fee ≈ 0.4999\n"
        "Then free  1,204.11 USDT"
    )


def test_card_market_buy_says_what_is_an_estimate() -> None:
    """A size in quote is exact as a total and about as an amount; the price is about too."""
    market = {"type": "market", "price": None, "size": "500", "size_in": "quote", "notional": "500"}
    assert text(row(params=market)) == (
        "BUY BTC/USDT · market · Bitget·main\n"
        "Amount     ≈ 0.008333 BTC\n"
        "Price      ≈ 60,000.00 market\n"
        "Total      ≈ 500.00 USDT  fee ≈ 0.4999\n"
        "Then free  1,204.11 USDT"
    )


def test_card_stop_order_and_flags_are_named() -> None:
    """Trigger, post-only and time in force are on the card."""
    stop = {"type": "stop_limit", "stop_price": "59000.00", "post_only": True, "time_in_force": "IOC"}
    shown = text(row(params=stop)).splitlines()
    assert (shown[0], shown[2]) == (
        "BUY BTC/USDT · stop limit · post-only · IOC · Bitget·main",
        "Trigger    59,000.00",
    )


def test_card_preview_shows_each_warning() -> None:
    """What the draft warned of stands under the numbers."""
    shown = text(row(params={"warnings": ["Far from the market.", "Large."]}))
    assert shown.endswith("\n⚠ Far from the market.\n⚠ Large.")


def test_card_filled_shows_average_total_fee_and_id() -> None:
    """A finished order tells what it cost."""
    filled = row(
        "filled",
        filled=Decimal("0.008333"),
        average_price=Decimal("59998.20"),
        fee=Decimal("0.000008333"),
        fee_asset="BTC",
        exchange_order_id="x1",
    )
    assert text(filled) == (
        "✅ Filled · #42\n"
        "BUY BTC/USDT · limit · Bitget·main\n"
        "Filled    0.008333 BTC\n"
        "Price     60,000.00\n"
        "Average   59,998.20\n"
        "Total     499.96 USDT\n"
        "Fee       0.000008333 BTC\n"
        "Order id  x1"
    )


def test_card_partly_filled_shows_the_share() -> None:
    """Progress is in numbers and per cent."""
    partly = row("partially_filled", filled=Decimal("0.003"), average_price=Decimal(60000))
    assert "Filled   0.003 of 0.008333 BTC (36%)" in text(partly)
    assert state_words(partly) == "filled 36%"


BUTTONS: dict[State, list[str]] = {
    "proposed": ["confirm", "drop", "scale", "scale"],
    "confirmed": [],
    "sending": [],
    "unknown": ["refresh"],
    "needs_human": ["refresh", "not_placed"],
    "open": ["cancel", "refresh"],
    "partially_filled": ["cancel", "refresh"],
    "filled": ["again"],
    "canceled": ["again"],
    "rejected": ["again"],
    "not_placed": ["again"],
    "expired": ["again"],
}


def test_card_has_the_buttons_of_its_state() -> None:
    """Only a proposal can be confirmed, only a live order canceled, and only a person may close a doubt by hand."""
    assert {state: actions(row(state)) for state in STATES} == BUTTONS


@pytest.mark.parametrize("state", ["open", "partially_filled"])
def test_card_with_a_cancel_under_way_offers_no_second(state: State) -> None:
    """While the exchange is asked, the card says so, and can only be refreshed."""
    asked = row(state, cancel_requested_ms=1)
    assert actions(asked) == ["refresh"]
    assert text(asked).endswith("Cancel requested; waiting for the exchange to say so.")
    assert state_words(asked) == "canceling"


def test_confirm_is_bound_to_the_order_as_shown_and_to_its_minute() -> None:
    """The button carries the order's number and the hash of what the card shows, and lives as long as the preview."""
    confirm = next(key for keys in drawn(row()).rows for key in keys if isinstance(key, Button))
    assert (confirm.action, confirm.order_id, confirm.params_hash, confirm.seconds) == ("confirm", 42, b"the-hash", 60)
    assert confirm.payload == {}


def test_card_in_doubt_promises_nothing_and_never_a_second_sending() -> None:
    """An unknown outcome is told as such."""
    assert "The order may exist. Nothing will be sent again." in text(row("unknown"))
    assert "Look at Bitget yourself" in text(row("needs_human"))


def test_card_expired_says_that_nothing_was_sent() -> None:
    """Also where no reason was noted."""
    assert text(row("expired")).endswith("Nothing was sent.")


def test_card_found_late_says_so() -> None:
    """An order that was held to be absent and turned up is not shown as if nothing had been."""
    assert "It turned up late" in text(row("filled", late=True))


@pytest.mark.parametrize("state", [state for state in STATES if state not in ("unknown", "needs_human")])
def test_card_shows_the_reason(state: State) -> None:
    """Why it ended is on the card in every state but doubt, whose text is fixed."""
    assert "The balance is too small." in text(row(state, reason="The balance is too small."))


def test_summary_is_one_line() -> None:
    """Lists name an order by number, side, pair, size, price and state."""
    market = {"type": "market", "price": None}
    assert [summary(row("open")), summary(row("needs_human", params=market))] == [
        "#42 BUY BTC/USDT 0.008333 @ 60,000.00 · open",
        "#42 BUY BTC/USDT 0.008333 market · needs human",
    ]


@given(
    st.sampled_from(STATES),
    st.text(max_size=5000),
    st.sampled_from([None, Decimal("0.000000000000000001"), Decimal("1e12")]),
    st.booleans(),
)
def test_card_any_row_can_be_drawn(state: State, reason: str, average: Decimal | None, asked: bool) -> None:
    """Whatever an exchange wrote and however odd its numbers, there is a card that Telegram takes."""
    order = row(
        state,
        reason=reason,
        filled=Decimal("0.000000000000000001") if average else Decimal(0),
        average_price=average,
        fee=average,
        fee_asset=reason[:10],
        exchange_order_id=reason,
        cancel_requested_ms=1 if asked else None,
    )
    shown = drawn(order).text.fitting()
    assert 0 < len(shown.text.encode("utf-16-le")) // 2 <= 4096
    assert order.is_done == (state in ENDS)


def test_card_partly_filled_says_the_share_in_its_head() -> None:
    """The share is the first thing to be seen."""
    shown = text(row("partially_filled", filled=Decimal("0.003")))
    assert shown.startswith("◐ Partly filled 36% · #42\n")


def test_card_of_a_live_order_that_is_not_shown_any_more_asks_its_owner() -> None:
    """The machine cannot tell how it ended; the buttons are those of a question."""
    asking = row("open", misses=3)
    assert "had this order and shows it no more" in text(asking)
    assert (actions(asking), state_words(asking)) == (["refresh", "not_placed"], "not shown any more")


@pytest.mark.parametrize(("kind", "buttons"), [("InsufficientFunds", ["again", "again"]), ("InvalidOrder", ["again"])])
def test_card_refused_offers_what_mends_it(kind: str, buttons: list[str]) -> None:
    """Too little money: a smaller amount. Anything else: a fresh preview, never the same order by itself."""
    assert actions(row("rejected", refusal=kind)) == buttons


@pytest.mark.parametrize("kind", ["IOC", "FOK"])
def test_card_canceled_at_once_says_that_it_was_asked_for(kind: str) -> None:
    """Nobody canceled it: its own terms did."""
    assert f"as {kind} asks." in text(row("canceled", params={"time_in_force": kind}))


def test_card_of_an_adopted_order_says_where_it_came_from() -> None:
    """The card and the line in the list carry the mark."""
    assert "had no record of it" in text(row("open", external=True))
    assert summary(row("open", external=True)).endswith("open · found at the exchange")
