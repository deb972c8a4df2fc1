"""What people type behind /alert, and the sentences they get for what cannot be read."""

from __future__ import annotations

from decimal import Decimal

import pytest

from bot import UserError
from bot.chat.alert_words import DAY_MS, EXAMPLES, HOUR_MS, MINUTE_MS, Asked, parse_alert, written
from bot.trading.intent import Amount, Intent

D = Decimal
EVERY_HOUR = Asked("above", "BTC/USDT", D(60000), every_ms=HOUR_MS, back_percent=D("0.5"), lasts_ms=7 * DAY_MS)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("BTC/USDT > 60k", Asked("above", "BTC/USDT", D(60000))),
        ("btcusdt>60k", Asked("above", "BTCUSDT", D(60000))),
        ("btc usdt < $59,000.50", Asked("below", "BTC/USDT", D("59000.50"))),
        ("btc-usdt ＞ 60k", Asked("above", "BTC/USDT", D(60000))),
        ("BTC above 60000", Asked("above", "BTC", D(60000))),
        ("BTC/USDT 5% 1h", Asked("move", "BTC/USDT", D(5), window_ms=HOUR_MS)),
        ("BTC/USDT 5 % 15min", Asked("move", "BTC/USDT", D(5), window_ms=15 * MINUTE_MS)),
        ("vol BTC/USDT 3x", Asked("volume", "BTC/USDT", D(3))),
        ("volume btc 1.5", Asked("volume", "BTC", D("1.5"))),
        ("spread BTC/USDT 0.5%", Asked("spread", "BTC/USDT", D("0.5"))),
        ("BTC/USDT > 60k every 1h back 0.5% for 7d", EVERY_HOUR),
        ("for 7d BTC/USDT back 0.5 EVERY 60m > 60k", EVERY_HOUR),
        ("BTC/USDT > 60k on Bitget", Asked("above", "BTC/USDT", D(60000), exchange="bitget")),
        (
            "BTC/USDT < 50k do buy $50",
            Asked("below", "BTC/USDT", D(50000), intent=Intent("buy", "BTC/USDT", Amount(D(50), "$"))),
        ),
    ],
)
def test_alert_as_typed_is_read(text: str, asked: Asked) -> None:
    """Any spelling, any order of the named parts."""
    assert parse_alert(text) == asked


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("", "SYNTAX", f"What shall I watch? For example:\n{EXAMPLES}"),
        (
            "BTC/USDT",
            "SYNTAX",
            f"I see neither a price after > or <, nor a per cent with a time. For example:\n{EXAMPLES}",
        ),
        ("BTC/USDT >", "SYNTAX", f'After ">" I need one price. For example:\n{EXAMPLES}'),
        ("BTC/USDT > 60k now", "SYNTAX", f'I do not understand "now". For example:\n{EXAMPLES}'),
        ("BTC/USDT > lots", "NOT_A_NUMBER", '"lots" is not a number. Write it like 60000, 0.1, 60k or 1.5m.'),
        (
            "BTC/USDT > 60,000",
            "AMBIGUOUS_NUMBER",
            'Does "60,000" mean 60 or 60000? Please write it without the comma.',
        ),
        ("BTC/USDT > 0", "PRICE", "The price must be above zero."),
        ("> 60k", "SYNTAX", "Which pair? Write one, like BTC/USDT."),
        (
            "BTC/USDT 5% 2h",
            "SYNTAX",
            "Within which time? I look back 1m, 5m, 15m, 30m, 1h, 4h, 12h, 1d. For example: /alert BTC/USDT 5% 1h",
        ),
        ("BTC/USDT 0% 1h", "SYNTAX", '"0%" is not between 0.01% and 99%.'),
        ("vol BTC/USDT 1x", "SYNTAX", "A volume can be waited for from above 1x to 1000x."),
        ("vol BTC/USDT", "SYNTAX", f"I need a pair and how many times. For example:\n{EXAMPLES}"),
        ("spread 0.5%", "SYNTAX", f"I need a pair and a figure. For example:\n{EXAMPLES}"),
        ("BTC/USDT > 60k every", "SYNTAX", f'Something is missing after "every". For example:\n{EXAMPLES}'),
        (
            "BTC/USDT > 60k every 5s",
            "SYNTAX",
            'After "every" I need a time from 1m to 365d, such as 30m, 1h or 7d.',
        ),
        ("BTC/USDT > 60k for 1d for 2d", "SYNTAX", f'I found "for" twice. For example:\n{EXAMPLES}'),
        ("BTC/USDT > 60k back 60%", "SYNTAX", '"60%" is not between 0.01% and 50%.'),
        (
            "BTC/USDT > 60k do it",
            "SYNTAX",
            f'After "do" I need an order, such as: do buy $50. For example:\n{EXAMPLES}',
        ),
        (
            "BTC/USDT > 60k do buy @ 50000",
            "SYNTAX",
            f'The order after "do" has no size. Write for example: do buy $50. For example:\n{EXAMPLES}',
        ),
        ("x" * 201, "TOO_LONG", "That is too long: at most 200 characters are read."),
    ],
)
def test_alert_that_cannot_be_read_gets_a_sentence(text: str, code: str, said: str) -> None:
    """The text names the word and shows what would work."""
    with pytest.raises(UserError) as caught:
        parse_alert(text)
    assert (caught.value.code, str(caught.value)) == (code, said)


@pytest.mark.parametrize(("ms", "text"), [(HOUR_MS, "1h"), (90 * MINUTE_MS, "90m"), (7 * DAY_MS, "7d"), (1500, "1s")])
def test_time_written_is_as_people_type_it(ms: int, text: str) -> None:
    """The largest unit that leaves nothing over."""
    assert written(ms) == text
