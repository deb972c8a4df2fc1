"""Pictures: drawn beside the event loop, kept while nothing changes, and a sentence where they cannot be drawn."""

from __future__ import annotations

import asyncio
import io
import struct
import threading
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from bot import Candle, UserError
from bot.chat import pictures
from bot.chat.pictures import Bars, Chart, Mark, Pictures, draw, spark

GREEN = (0x1A, 0x9C, 0x6B)
CANDLE = Candle(3_600_000, Decimal(100), Decimal(120), Decimal(90), Decimal(110), Decimal(1))
CHART = Chart("BTC/USDT", "1h", (CANDLE, replace(CANDLE, at_ms=7_200_000, close=Decimal(95))))
MARKS = (
    Mark("buy", Decimal(100), 3_600_000),
    Mark("sell", Decimal(110), 7_200_000),
    Mark("order", Decimal(92), label="buy #1"),
    Mark("stop", Decimal(91), label="$x^ ☂ stop"),
    Mark("alert", Decimal(125), label="alert"),
    Mark("order", Decimal(5), label="far away"),
)


def noting(drawn: list[Chart]) -> Callable[[Chart], bytes]:
    def paint(chart: Chart) -> bytes:
        drawn.append(chart)
        return str(len(drawn)).encode()

    return paint


async def test_picture_asked_twice_is_drawn_once() -> None:
    """The same market, interval, candles and marks are the same picture; also for two who ask at once."""
    drawn: list[Chart] = []
    found = Pictures(noting(drawn))
    assert await asyncio.gather(found.of(CHART), found.of(replace(CHART))) == [b"1", b"1"]
    assert await found.of(replace(CHART)) == b"1"
    assert drawn == [CHART]


@pytest.mark.parametrize(
    "other",
    [
        replace(CHART, title="ETH/USDT"),
        replace(CHART, interval="4h"),
        replace(CHART, candles=(CANDLE, replace(CHART.candles[1], close=Decimal(96)))),
        replace(CHART, marks=MARKS[:1]),
    ],
    ids=["market", "interval", "last candle", "marks"],
)
async def test_picture_is_drawn_anew_when_anything_changed(other: Chart) -> None:
    """Nobody sees an old price, or somebody else's marks."""
    drawn: list[Chart] = []
    found = Pictures(noting(drawn))
    assert [await found.of(CHART), await found.of(other)] == [b"1", b"2"]


async def test_drawing_leaves_the_event_loop_free() -> None:
    """While a picture is drawn, other work goes on: the loop itself lets the painter finish."""
    gate = threading.Event()
    loop, begun = asyncio.get_running_loop(), asyncio.Event()
    threads: list[threading.Thread] = []

    def paint(chart: Chart) -> bytes:
        threads.append(threading.current_thread())
        loop.call_soon_threadsafe(begun.set)
        assert gate.wait(10)
        return b"done"

    asked = asyncio.ensure_future(Pictures(paint).of(CHART))
    await begun.wait()
    gate.set()
    assert await asked == b"done"
    assert threads != [threading.main_thread()]


async def test_picture_kept_are_the_newest_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays bounded however many pairs are asked for."""
    monkeypatch.setattr(pictures, "_KEPT", 2)
    drawn: list[Chart] = []
    found = Pictures(noting(drawn))
    for title in "ABCA":
        await found.of(replace(CHART, title=title))
    assert [each.title for each in drawn] == list("ABCA")


async def test_picture_without_matplotlib_names_the_line_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """And is asked for anew once it is there."""
    monkeypatch.setattr(pictures, "is_installed", lambda: False)
    found = Pictures()
    with pytest.raises(UserError, match=r"pip install \"tradewire\[charts\]\"") as refused:
        await found.of(CHART)
    assert refused.value.code == "NO_CHARTS"
    assert not found._kept


def test_draw_makes_a_png_for_a_phone() -> None:
    """Whatever the marks are: odd letters are no formula, and a line far off does not squeeze the candles."""
    pytest.importorskip("matplotlib")
    plain, marked = draw(CHART), draw(replace(CHART, marks=MARKS))
    assert [struct.unpack(">8xI4sII", each[:24])[2:] for each in (plain, marked)] == [(1080, 810)] * 2
    assert plain != marked
    assert draw(replace(CHART, marks=MARKS[5:])) == plain


def test_spark_of_an_alert_shows_its_level() -> None:
    """The helper for fired alerts marks the level where there is one."""
    assert spark("t", "1h", [CANDLE], Decimal(1), "x").marks == (Mark("alert", Decimal(1), label="x"),)
    assert spark("t", "1h", [CANDLE], None, "x").marks == ()


@pytest.mark.parametrize("count", [1, 2, 12])
def test_bars_are_never_wider_than_an_eighth_of_the_picture(count: int) -> None:
    """The gains of a single day are a bar, no wall."""
    image = pytest.importorskip("matplotlib.image")
    rows = tuple((f"{day} Nov", Decimal(10)) for day in range(1, count + 1))
    dots = image.imread(io.BytesIO(draw(Bars("Gains a day", rows))))
    column = [tuple(round(float(part) * 255) for part in line[300][:3]) for line in dots]
    widest = max(len(run) for run in "".join("x" if dot == GREEN else " " for dot in column).split())
    assert widest < len(dots) / 8
