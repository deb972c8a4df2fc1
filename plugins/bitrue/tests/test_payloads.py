"""How fields of Bitrue become models, and models fields."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tradewire_bitrue import payloads

from bot import (
    Balance,
    Base,
    Fill,
    KeyPermissions,
    Market,
    Order,
    OrderBook,
    OrderReport,
    OutcomeUnknown,
    Quote,
    Ticker,
    UserError,
)
from bot.testing.drive import load_reply, reply

D = Decimal
TESTDATA = Path(__file__).parent / "testdata"
BTC = Market(
    symbol="BTC/USDT",
    exchange_symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    price_step=D("0.01"),
    quantity_step=D("0.00001"),
    quote_step=D("0.01"),
)
BUY = Order(client_order_id="tabc", market=BTC, side="buy", type="limit", size=Base(D("1E-5")), price=D("6E+4"))


def sample(name: str) -> Any:
    return json.loads((TESTDATA / name).read_text())


def order_row(**changes: Any) -> payloads.OrderRow:
    return reply(sample("get_order.json") | changes).decode(payloads.OrderRow)


# Market data


def test_market_reads_rules_by_name_and_assets_in_any_case() -> None:
    """Filters come in any order; the scale tells the decimals; a maximum of many nines is none."""
    assert payloads.markets(load_reply(TESTDATA / "get_exchange_info.json")) == [
        Market(
            symbol="ETH/BTC",
            exchange_symbol="ETHBTC",
            base="ETH",
            quote="BTC",
            price_step=D("0.01"),
            quantity_step=D("0.01"),
            quote_step=D("0.01"),
            min_quantity=D("0.1"),
            min_notional=D(10),
            maker_fee=D("0.00098"),
            taker_fee=D("0.00098"),
        ),
        Market(
            symbol="SHA/USDT",
            exchange_symbol="SHAUSDT",
            base="SHA",
            quote="USDT",
            price_step=D("0.000001"),
            quantity_step=D("0.01"),
            quote_step=D("0.000001"),
            min_quantity=D("388.89"),
            max_quantity=D(5000000),
            maker_fee=D("0.00098"),
            taker_fee=D("0.00098"),
            status="halted",
        ),
    ]


def listed(**changes: Any) -> dict[str, Any]:
    """Return a market, with rules that can be read unless changed."""
    filters = [{"filterType": "PRICE_FILTER", "priceScale": 2}, {"filterType": "LOT_SIZE", "volumeScale": 2}]
    return {"symbol": "XY", "baseAsset": "x", "quoteAsset": "y", "status": "TRADING", "filters": filters} | changes


def price_rule(**fields: Any) -> list[dict[str, Any]]:
    return [{"filterType": "PRICE_FILTER", **fields}, {"filterType": "LOT_SIZE", "volumeScale": 2}]


@pytest.mark.parametrize(
    ("rules", "step"),
    [
        ({"priceScale": 0}, D(1)),
        ({"priceScale": "3"}, D("0.001")),
        ({"priceScale": 2, "tickSize": "0.5"}, D("0.5")),
        ({"priceScale": 2, "tickSize": "0.001"}, D("0.01")),
        ({"priceScale": 2, "tickSize": "0"}, D("0.01")),
        ({"priceScale": 2, "tickSize": ""}, D("0.01")),
        ({"tickSize": 0.5}, D("0.5")),
        ({"priceScale": None, "tickSize": "0.5"}, D("0.5")),
    ],
)
def test_market_step_is_the_coarser_of_decimals_and_step(rules: dict[str, Any], step: Decimal) -> None:
    """Bitrue refuses what is finer than either; one of them may be missing, empty or zero."""
    [found] = payloads.markets(reply({"symbols": [listed(filters=price_rule(**rules))]}))
    assert (found.price_step, found.quote_step, found.quantity_step) == (step, step, D("0.01"))


@pytest.mark.parametrize(
    "odd",
    [
        5,
        None,
        "XY",
        [],
        {},
        listed(symbol=None),
        listed(baseAsset=["x"]),
        listed(quoteAsset=7),
        listed(status=None),
        listed(filters=None),
        listed(filters="none"),
        listed(filters=[7]),
        listed(filters=[]),
        listed(filters=price_rule(tickSize="0")),
        listed(filters=price_rule(priceScale=-1)),
        listed(filters=price_rule(priceScale=99)),
        listed(filters=price_rule(priceScale="two")),
        listed(filters=price_rule(priceScale=[2])),
        listed(filters=[*price_rule(priceScale=2), {"filterType": {"new": 1}}]),
        listed(filters=[*price_rule(priceScale=2), {"filterType": "NEW", "minQty": "some"}]),
    ],
)
def test_markets_odd_row_costs_that_market_and_no_other(odd: Any) -> None:
    """A field that is missing, null or of another type, and a market without decimals: the rest can be traded."""
    good = listed(symbol="AB", baseAsset="A", quoteAsset="B")
    found = payloads.markets(reply({"symbols": [odd, good, odd]}))
    assert [each.symbol for each in found] == ["A/B"]


def test_markets_of_which_none_can_be_read_is_no_list() -> None:
    """When all have become odd, the shape has changed: that is a failure, not an exchange without markets."""
    with pytest.raises(OutcomeUnknown, match="none can be read"):
        payloads.markets(reply({"symbols": [{}, {}]}))


EXPECTED_TICKER = Ticker(
    exchange_symbol="BTCUSDT",
    last=D("73369.84"),
    bid=D("73369.83"),
    ask=D("73369.84"),
    open_24h=D("72161.11"),
    high_24h=D("73630.71"),
    low_24h=D("63892.36"),
    base_volume_24h=D("45360.559"),
)


def test_ticker_is_a_list_of_one_or_one_object() -> None:
    """Documented as an object, sent as a list; the symbol may have an underscore."""
    [row] = sample("get_ticker.json")
    for content in ([row], row, row | {"symbol": "BTC_USDT"}):
        assert payloads.ticker(reply(content), BTC) == EXPECTED_TICKER


def test_ticker_nulls_and_zeros_are_unknown() -> None:
    """Fillers are no prices."""
    [row] = sample("get_ticker.json")
    changed = {"bidPrice": "0", "askPrice": None, "openPrice": "0", "highPrice": None, "lowPrice": "0", "volume": None}
    expected = Ticker(exchange_symbol="BTCUSDT", last=D("73369.84"))
    assert payloads.ticker(reply([row | changed]), BTC) == expected


@pytest.mark.parametrize("changes", [{"lastPrice": "0"}, {"lastPrice": None}, {"symbol": "ETHUSDT"}])
def test_ticker_without_a_price_is_unknown(changes: dict[str, Any]) -> None:
    """No price, or another market's, is never shown as one."""
    [row] = sample("get_ticker.json")
    for content in ([row | changes], []):
        with pytest.raises(OutcomeUnknown, match="no price for BTC/USDT"):
            payloads.ticker(reply(content), BTC)


def test_ticker_nan_is_refused() -> None:
    """What reads as a number and is none must not become a price."""
    [row] = sample("get_ticker.json")
    with pytest.raises(OutcomeUnknown):
        payloads.ticker(reply([row | {"lastPrice": "NaN"}]), BTC)


def test_depth_ignores_the_list_behind_each_level() -> None:
    """Levels have a third element without meaning."""
    expected = OrderBook(bids=((D("61436.84"), D("0.05")), (D("61430.00"), D(1))), asks=((D("61452.46"), D("0.0001")),))
    assert load_reply(TESTDATA / "get_depth.json").decode(payloads.Depth).book() == expected


@pytest.mark.parametrize("level", [[], ["1"], ["1", []], ["1", "NaN"], ["Infinity", "1"]])
def test_depth_broken_level_is_unknown(level: list[Any]) -> None:
    """A level without price and quantity spoils the book."""
    with pytest.raises(OutcomeUnknown, match="order book"):
        reply({"bids": [level], "asks": []}).decode(payloads.Depth).book()


# Account


def test_holdings_in_upper_case_without_zeros() -> None:
    """The list holds every coin, some in lower case."""
    assert payloads.holdings(load_reply(TESTDATA / "get_account.json")) == [
        Balance("BTC", D("4723846.89208129"), D(0)),
        Balance("SBR", D(0), D("4763368.68006011")),
    ]


@pytest.mark.parametrize(
    ("flags", "trade", "withdraw", "words"),
    [
        ((True, False), "yes", "no", ""),
        ((True, True), "yes", "unknown", "may mean your account and not this key"),
        ((False, False), "unknown", "no", "no right to trade; the first order will show"),
        ((None, None), "unknown", "unknown", ""),
    ],
)
def test_permissions_are_hints(flags: tuple[bool | None, bool | None], trade: Any, withdraw: Any, words: str) -> None:
    """The flags may describe the account: a yes to withdrawals is not proved, a no to trading bars nothing."""
    found = payloads.permissions(reply({"balances": [], "canTrade": flags[0], "canWithdraw": flags[1]}))
    assert replace(found, note="", withdraw_hint="") == KeyPermissions(
        can_read="yes", can_trade=trade, can_withdraw=withdraw
    )
    assert (found.withdraw_hint if flags[1] else found.note).count(words) >= 1
    assert (bool(found.note), bool(found.withdraw_hint)) == (flags[0] is False, flags[1] is True)


# Placing


def test_order_query_limit_writes_money_as_plain_text() -> None:
    """No exponent ever; good till canceled; our id goes along."""
    assert payloads.order_query(BUY) == {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.00001",
        "price": "60000",
        "newClientOrderId": "tabc",
    }


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_order_query_market_has_a_quantity_and_no_price(side: Any) -> None:
    """The quantity is in base on both sides."""
    order = replace(BUY, type="market", price=None, side=side)
    assert payloads.order_query(order) == {
        "symbol": "BTCUSDT",
        "side": side.upper(),
        "type": "MARKET",
        "quantity": "0.00001",
        "newClientOrderId": "tabc",
    }


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"type": "market", "price": None, "size": Quote(D(50))}, "UNIT"),
        ({"size": Quote(D(50))}, "UNIT"),
        ({"type": "stop_limit", "stop_price": D(1)}, "UNSUPPORTED"),
        ({"time_in_force": "IOC"}, "UNSUPPORTED"),
        ({"post_only": True}, "UNSUPPORTED"),
        ({"price": None}, "PRICE_MISSING"),
    ],
)
def test_order_query_of_what_bitrue_lacks_is_refused(changes: dict[str, Any], code: str) -> None:
    """Nothing is sent in another meaning than was asked for: 50 USDT must never become 50 BTC."""
    with pytest.raises(UserError) as caught:
        payloads.order_query(replace(BUY, **changes))
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("content", "id_"),
    [
        (sample("post_order.json"), "307650651173648896"),
        ({"orderId": 307650651173648900, "orderIdStr": "307650651173648896"}, "307650651173648896"),
        ({"orderId": "307650651173648897"}, "307650651173648897"),
        ({"orderId": 307650651173648897}, "307650651173648897"),
    ],
)
def test_ack_takes_the_id_as_text(content: Any, id_: str) -> None:
    """Ids are above 2^53: the text counts first, and no digit is lost of a number."""
    found = payloads.ack(reply(content), BUY)
    assert (found.exchange_order_id, found.client_order_id) == (id_, "tabc")


@pytest.mark.parametrize("content", [{}, {"orderId": 0}, {"orderId": ""}, {"orderId": "../1"}])
def test_ack_without_an_id_is_unknown(content: Any) -> None:
    """The order may exist."""
    with pytest.raises(OutcomeUnknown):
        payloads.ack(reply(content), BUY)


# Orders and fills


def test_report_open_order() -> None:
    """Empty strings are nothing; the time is told."""
    assert payloads.report(order_row()) == OrderReport(
        exchange_order_id="2878854881",
        client_order_id="",
        exchange_symbol="USDCUSDT",
        side="sell",
        type="limit",
        state="open",
        filled=D(0),
        quantity=D(100),
        price=D("1.1"),
        created_ms=1635551031000,
    )


@pytest.mark.parametrize(
    ("status", "filled", "state"),
    [
        ("PENDING_CREATE", "0", "open"),
        ("INIT", "0", "open"),
        ("NEW", "0", "open"),
        ("NEW", "40", "partially_filled"),
        ("PARTIALLY_FILLED", "40", "partially_filled"),
        ("PENDING_CANCEL", "40", "partially_filled"),
        ("PENDING_CANCEL", "0", "open"),
        ("FILLED", "100", "filled"),
        ("CANCELED", "40", "canceled"),
        ("CANCELLED", "0", "canceled"),
        ("EXPIRED", "0", "canceled"),
        ("REJECTED", "0", "rejected"),
    ],
)
def test_report_states(status: str, filled: str, state: str) -> None:
    """What was filled counts, also of a canceled order."""
    found = payloads.report(order_row(status=status, executedQty=filled))
    assert (found.state, found.filled) == (state, D(filled))


def test_report_average_price_is_value_by_quantity() -> None:
    """The value's name is misspelt; a market order's own price means nothing."""
    row = order_row(type="MARKET", price="9", executedQty="40", cummulativeQuoteQty="44.4", status="FILLED")
    found = payloads.report(row)
    assert (found.type, found.average_price, found.price) == ("market", D("1.11"), None)


@pytest.mark.parametrize("changes", [{"status": "NOVEL"}, {"side": "HOLD"}, {"orderId": ""}])
def test_report_of_what_is_not_known_is_unknown(changes: dict[str, Any]) -> None:
    """A state never seen keeps the order as it was."""
    with pytest.raises(OutcomeUnknown):
        payloads.report(order_row(**changes))


@pytest.mark.parametrize("nothing", ["", None])
def test_report_without_what_is_optional(nothing: Any) -> None:
    """Empty text and null are not told; what was filled still counts."""
    names = ["clientOrderId", "price", "cummulativeQuoteQty", "orderIdStr", "time", "stopPrice", "timeInForce"]
    found = payloads.report(order_row(executedQty="40", **dict.fromkeys(names, nothing)))
    assert found == OrderReport(
        exchange_order_id="2878854881",
        client_order_id="",
        exchange_symbol="USDCUSDT",
        side="sell",
        type="limit",
        state="partially_filled",
        filled=D(40),
        quantity=D(100),
    )


def test_report_time_as_text_is_read() -> None:
    """Bitrue writes some numbers as text, and not always the same ones."""
    assert payloads.report(order_row(time="1635551031000")).created_ms == 1635551031000


@pytest.mark.parametrize("name", ["symbol", "orderId", "side", "type", "status", "origQty", "executedQty"])
@pytest.mark.parametrize("odd", [None, [], {}])
def test_report_without_what_is_needed_is_unknown(name: str, odd: Any) -> None:
    """An order that cannot be read is not left out: it could be the one that is looked for."""
    with pytest.raises(OutcomeUnknown):
        reply([sample("get_order.json"), sample("get_order.json") | {name: odd}]).decode(list[payloads.OrderRow])


@pytest.mark.parametrize("nothing", ["", None])
def test_fill_without_what_is_optional(nothing: Any) -> None:
    """A fee that is not told is none, of no asset; the other id serves."""
    [row] = sample("get_my_trades.json")
    names = ["commission", "commissionAssert", "clientOrderId", "tradeId"]
    [found] = reply([row | dict.fromkeys(names, nothing)]).decode(list[payloads.FillRow])
    expected = ("101655008", D(0), "", D("38.3"))
    fill = payloads.fill(found)
    assert (fill.trade_id, fill.fee, fill.fee_asset, fill.quantity) == expected


def test_fill_reads_the_misspelt_fee_asset() -> None:
    """The fee's asset is in `commissionAssert`, in lower case, and a buy may pay its fee in quote."""
    [row] = load_reply(TESTDATA / "get_my_trades.json").decode(list[payloads.FillRow])
    assert payloads.fill(row) == Fill(
        trade_id="4336943366145",
        exchange_order_id="479767730815549440",
        exchange_symbol="EOSUSDT",
        side="buy",
        price=D("0.731"),
        quantity=D("38.3"),
        fee=D("0.027437354"),
        fee_asset="USDT",
        is_maker=False,
        at_ms=1700117080000,
    )


def test_fill_reads_the_documented_fee_asset_too() -> None:
    """The document spells it right."""
    [row] = sample("get_my_trades.json")
    del row["commissionAssert"]
    [found] = reply([row | {"commissionAsset": "btr"}]).decode(list[payloads.FillRow])
    assert payloads.fill(found).fee_asset == "BTR"
