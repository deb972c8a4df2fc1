"""Pictures for a phone: candles with one's own marks. Drawn on a thread of its own, and kept until a candle changes.

matplotlib is the extra `charts`. It is imported when the first picture is drawn, never in the event loop.
"""

from __future__ import annotations

import asyncio
import importlib.util
import io
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from bot.chat.numbers import format_amount, format_money
from bot.contract.errors import UserError
from bot.contract.models import INTERVALS, Candle, Interval

MISSING = (
    "Pictures need matplotlib, which is not installed here. The operator adds it on the server with:"
    ' pip install "tradewire[charts]"'
)
_KEPT = 32
_LEAST_ROWS = 6
"""Room is left for so many bars: one alone is no wider than one of several."""

_SIZE, _DPI = (7.2, 5.4), 150  # inches; 1,080 x 810 dots
_PAPER, _INK, _GRID = "#ffffff", "#1c2733", "#dfe5ea"
_UP, _DOWN, _MINE = "#1a9c6b", "#d64550", "#2f6fde"

Kind: TypeAlias = Literal["buy", "sell", "order", "stop", "alert"]


@dataclass(frozen=True, slots=True)
class Mark:
    """Something to point at: a fill at its moment, or a price that an order, a stop or an alert waits at."""

    kind: Kind
    price: Decimal
    at_ms: int = 0
    label: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """All that a picture of a price depends on; two that are equal look the same."""

    title: str
    interval: Interval
    candles: tuple[Candle, ...]
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Bars:
    """Amounts of one unit side by side, from the top: the parts of a whole, or gains and losses."""

    title: str
    rows: tuple[tuple[str, Decimal], ...]


Picture: TypeAlias = Chart | Bars


class Pictures:
    """Draws, one picture at a time, beside the event loop.

    Args:
        paint: Makes a PNG of a picture; may take its time.
    """

    def __init__(self, paint: Callable[[Picture], bytes] | None = None) -> None:
        self._paint = paint or draw
        self._worker = ThreadPoolExecutor(1, "pictures")
        self._kept: OrderedDict[Picture, asyncio.Task[bytes]] = OrderedDict()

    async def of(self, picture: Picture) -> bytes:
        """Return the picture as PNG: a kept one where nothing changed.

        Raises:
            UserError: `NO_CHARTS`, the extra is not installed.
        """
        if picture not in self._kept:
            self._kept[picture] = asyncio.ensure_future(self._draw(picture))
        self._kept.move_to_end(picture)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        try:
            return await asyncio.shield(self._kept[picture])
        except UserError:
            self._kept.pop(picture, None)
            raise

    async def _draw(self, picture: Picture) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(self._worker, self._paint, picture)


def is_installed() -> bool:
    """Say whether pictures can be drawn here."""
    return importlib.util.find_spec("matplotlib") is not None


def draw(picture: Picture) -> bytes:
    """Return a picture as PNG. Takes a tenth of a second, and the first time a second more.

    Raises:
        UserError: `NO_CHARTS`, the extra is not installed.
    """
    if not is_installed():
        raise UserError(MISSING, code="NO_CHARTS")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, dpi=_DPI, facecolor=_PAPER, layout="constrained")
    axes = figure.add_subplot()
    axes.set_facecolor(_PAPER)
    axes.set_title(_plain(picture.title), loc="left", color=_INK, fontsize=15, fontweight="bold", parse_math=False)
    if isinstance(picture, Bars):
        _bars(axes, picture)
    else:
        _candles(axes, picture)
        _marks(axes, picture)
        _frame(axes, picture)
    file = io.BytesIO()
    canvas: Any = FigureCanvasAgg(figure)  # its methods have no types
    canvas.print_png(file)
    return file.getvalue()


def _bars(axes: Any, bars: Bars) -> None:
    places, values = range(len(bars.rows)), [float(value) for _, value in bars.rows]
    drawn = axes.barh(places, values, 0.7, color=[_UP if value >= 0 else _DOWN for value in values])
    axes.bar_label(drawn, [format_money(value) for _, value in bars.rows], padding=4, color=_INK, fontsize=12)
    axes.set_yticks(places, [_plain(name) for name, _ in bars.rows], parse_math=False)
    axes.set_xticks([])
    axes.set_ylim(max(len(bars.rows), _LEAST_ROWS) - 0.5, -0.5)
    axes.axvline(0, color=_INK, lw=0.9)
    axes.margins(x=0.2)
    for side in ("top", "left", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(colors=_INK, labelsize=12, length=0)


def _candles(axes: Any, chart: Chart) -> None:
    step_ms = INTERVALS[chart.interval]
    for is_up, color in ((True, _UP), (False, _DOWN)):
        rows = [each for each in chart.candles if (each.close >= each.open) is is_up]
        if not rows:
            continue
        places = [each.at_ms for each in rows]
        axes.vlines(places, [float(each.low) for each in rows], [float(each.high) for each in rows], color, lw=1.4)
        bottoms = [float(min(each.open, each.close)) for each in rows]
        heights = [float(abs(each.close - each.open)) for each in rows]
        axes.bar(places, heights, 0.7 * step_ms, bottoms, color=color, edgecolor=color, linewidth=1)


def _marks(axes: Any, chart: Chart) -> None:
    first, last = chart.candles[0].at_ms, chart.candles[-1].at_ms
    low, high = min(each.low for each in chart.candles), max(each.high for each in chart.candles)
    room = (high - low) / 2 or high / 100  # a line farther off would squeeze the candles
    for mark in chart.marks:
        if mark.kind in ("buy", "sell"):
            if first <= mark.at_ms <= last + INTERVALS[chart.interval]:
                shape, color = ("^", _UP) if mark.kind == "buy" else ("v", _DOWN)
                axes.plot([mark.at_ms], [float(mark.price)], shape, color=color, mec=_INK, mew=1.4, ms=13, zorder=5)
        elif low - room <= mark.price <= high + room:
            dashes = {"order": "-", "stop": "--", "alert": ":"}[mark.kind]
            axes.axhline(float(mark.price), color=_MINE, linestyle=dashes, lw=1.8)
            place = (first, float(mark.price))
            box = {"boxstyle": "round,pad=0.1", "fc": _PAPER, "ec": "none", "alpha": 0.8}
            style = {"color": _MINE, "fontsize": 12, "fontweight": "bold", "parse_math": False, "bbox": box}
            axes.annotate(_plain(mark.label), place, (2, 3), textcoords="offset points", **style)


def _frame(axes: Any, chart: Chart) -> None:
    last = float(chart.candles[-1].close)
    axes.axhline(last, color=_INK, lw=0.9, linestyle=(0, (1, 3)))
    axes.yaxis.tick_right()
    box = {"boxstyle": "round,pad=0.2", "fc": _INK, "ec": _INK}
    place = {"xy": (1, last), "xycoords": ("axes fraction", "data"), "annotation_clip": False}
    axes.annotate(f" {_written(last)}", **place, color="white", fontsize=12, va="center", bbox=box)
    axes.grid(color=_GRID, lw=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "left", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(colors=_INK, labelsize=12, length=0)
    axes.yaxis.set_major_formatter(lambda value, _: _written(value))
    times = [each.at_ms for each in chart.candles]
    ticks = times[:: max(1, -(-len(times) // 5))]
    form = "%d %b" if chart.interval in ("4h", "1d") or times[-1] - times[0] > 4 * 86_400_000 else "%d %b\n%H:%M"
    axes.set_xticks(ticks, [datetime.fromtimestamp(at_ms / 1000, UTC).strftime(form) for at_ms in ticks])
    axes.margins(x=0.01)


def _written(value: float) -> str:
    """Write a price with seven digits and no exponent; it is drawn, never reckoned with."""
    return format_amount(Decimal(f"{value:.7g}")) if abs(value) < 1000 else f"{value:,.7g}"


def _plain(text: str) -> str:
    """Return text without what the font of the picture cannot draw."""
    return "".join(character for character in text if character.isascii() or character in "·–≈")


def spark(title: str, interval: Interval, candles: Sequence[Candle], level: Decimal | None, label: str) -> Chart:
    """Return the small picture of an alert that fired: how the price came to its level."""
    marks = () if level is None else (Mark("alert", level, label=label),)
    return Chart(title, interval, tuple(candles), marks)
