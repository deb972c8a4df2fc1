"""Bodies of webhooks: what is read, and what is refused."""

from __future__ import annotations

import hashlib
import tracemalloc
from decimal import Decimal

import pytest

from bot.chat.commands.hooks import INDICATOR, STRATEGY
from bot.signals import alert
from bot.signals.alert import MOST_BYTES, MOST_DEPTH, Alert, Unreadable
from bot.signals.idea import Idea

AT_MS = 1_790_000_000_000
AT = "2026-09-21T14:13:20Z"


def read(text: str) -> Alert:
    found = alert.read(text.encode())
    assert found.digest == hashlib.sha256(text.encode()).digest()
    return found


def filled(template: str) -> str:
    values = {
        "timenow": AT,
        "strategy.order.id": "Long",
        "exchange": "BINANCE",
        "ticker": "BTCUSDT",
        "strategy.order.action": "buy",
        "interval": "60",
        "close": "60000.5",
    }
    for name, value in values.items():
        template = template.replace("{{" + name + "}}", value)
    return template


def test_templates_as_tradingview_fills_them_are_read() -> None:
    """Both templates carry an id, a time, a ticker and a side."""
    idea = Idea("buy", "BTC/USDT")
    found = [read(filled(each)) for each in (STRATEGY, INDICATOR)]
    assert [(each.id, each.time_ms, each.idea, each.text) for each in found] == [
        (f"{AT} Long", AT_MS, idea, ""),
        (f"{AT} 60", AT_MS, idea, "60000.5"),
    ]
    assert all(len(each) <= 256 for each in (STRATEGY, INDICATOR))


def test_json_with_prices_is_an_idea() -> None:
    """Entry, targets and stop as numbers or text, every digit kept."""
    found = read('{"symbol":"ETH/USDT","action":"long","entry":1800.10,"tp":["1900",2000],"sl":"1700","seq":7}')
    targets = (Decimal(1900), Decimal(2000))
    assert found.idea == Idea("buy", "ETH/USDT", (Decimal("1800.10"),), targets, Decimal(1700))
    assert found.sequence == 7


def test_plain_text_is_words_and_an_idea_where_it_holds_one() -> None:
    """Text is shown; a signal in it can be traded."""
    assert read("BTC crossing 60000").idea is None
    assert read("BTC crossing 60000").text == "BTC crossing 60000"
    assert read("BUY BTCUSDT 60000").idea == Idea("buy", "BTC/USDT", (Decimal(60000),))


@pytest.mark.parametrize(
    "time", ['"2026-09-21T14:13:20Z"', "1790000000", "1790000000000", '"2026-09-21T16:13:20+02:00"']
)
def test_time_is_read_in_each_form(time: str) -> None:
    """ISO 8601 with a zone, seconds and milliseconds."""
    assert read(f'{{"time":{time}}}').time_ms == AT_MS


def test_account_chat_and_size_of_a_body_are_not_read() -> None:
    """They come from the hook's row: the alert has no place for them."""
    plain, loud = '{"ticker":"BTCUSDT","side":"buy"', ',"account":2,"chat_id":5,"user":1,"size":"100%","mode":"auto"}'
    first, second = read(plain + "}"), read(plain + loud)
    assert (first.idea, first.text, first.id) == (second.idea, second.text, second.id)


BAD = {
    "empty": "  ",
    "broken": '{"a":',
    "twice": '{"side":"buy","side":"sell"}',
    "not a number": '{"entry":NaN,"ticker":"BTCUSDT","side":"buy"}',
    "infinite": '{"entry":1e999999999999999999999,"ticker":"BTCUSDT","side":"buy"}',
    "huge": '{"entry":1e999999999,"ticker":"BTCUSDT","side":"buy"}',
    "tiny": '{"entry":1e-999999999,"ticker":"BTCUSDT","side":"buy"}',
    "huge id": '{"id":1e999999999}',
    "huge time": '{"time":1e999999999}',
    "huge sequence": '{"seq":1e999999999}',
    "side": '{"side":"hold","ticker":"BTCUSDT"}',
    "ticker": '{"side":"buy","ticker":"../etc"}',
    "placeholder": '{"side":"{{strategy.order.action}}","ticker":"BTCUSDT"}',
    "time": '{"time":"yesterday"}',
    "time without zone": '{"time":"2026-09-21T14:13:20"}',
    "impossible time": '{"time":"2026-99-21T14:13:20Z"}',
    "sequence": '{"seq":"1.5"}',
    "long id": '{"id":"' + "x" * 200 + '"}',
    "nested id": '{"id":{"a":1}}',
    "wrong stop": '{"side":"buy","ticker":"BTCUSDT","entry":1,"stop":2}',
    "deep": '{"a":' + "[" * 10_000 + "]" * 10_000 + "}",
    "just too deep": '{"a":' + "[" * MOST_DEPTH + "]" * MOST_DEPTH + "}",
    "large": '{"a":"' + "x" * MOST_BYTES + '"}',
    "not an object": "{1}",
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_body_that_cannot_be_meant_is_refused(body: str) -> None:
    """Never another error than this one, and never much time or memory."""
    with pytest.raises(Unreadable):
        alert.read(body.encode())


@pytest.mark.parametrize("name", [each for each in BAD if each.startswith(("huge", "tiny", "infinite", "deep"))])
def test_body_that_swells_takes_no_memory(name: str) -> None:
    """A number of a thousand million digits is never written out, and ten thousand brackets make no objects."""
    tracemalloc.start()
    try:
        with pytest.raises(Unreadable):
            alert.read(BAD[name].encode())
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_placeholder_that_was_not_filled_in_is_named() -> None:
    """Wherever it stands: what TradingView did not know would be shown to the group as it is."""
    for body in ('{"text":"{{plot_9}}"}', "Close {{plot_9}}"):
        with pytest.raises(Unreadable, match="plot_9"):
            alert.read(body.encode())


def test_body_that_is_no_utf8_is_refused_and_brackets_in_text_do_not_nest() -> None:
    """Half a character; and brackets inside a string, which are no nesting."""
    with pytest.raises(Unreadable, match="UTF-8"):
        alert.read(b"\xff{")
    assert read('{"text":"[[[[[[[[[[[[\\"[["}').text == '[[[[[[[[[[[["[['
