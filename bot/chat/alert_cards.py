"""What a chat shows of alerts: one of them, a list, and one that fired. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from bot.alerts.rows import Alert
from bot.chat.alert_words import DAY_MS, HOUR_MS, written
from bot.chat.numbers import format_amount
from bot.chat.reply import Copy, Key, Reply
from bot.chat.text import Text
from bot.trading.confirm import Button

PAGE = 20
_WIDTH = 4
button = partial(Button, seconds=30 * 86_400)
_SNOOZES = (("1h", HOUR_MS), ("8h", 8 * HOUR_MS), ("1d", DAY_MS))


def card(alert: Alert, exchange: str, now_ms: int) -> Reply:
    """Show an alert with its buttons."""
    wish = alert.wish
    text = Text().bold(f"🔔 #{alert.id} {wish.title}").line(f" · {exchange}")
    if alert.ended:
        text.line("It waits no more: it " + ("fired." if alert.ended == "fired" else "expired."))
    else:
        text.line(_waits(alert, now_ms))
    if alert.fired:
        text.line(f"Fired {alert.fired} times so far." if alert.fired > 1 else "Fired once so far.")
    if wish.intent:
        text.line("With it you are offered the order you wrote. Nothing is sent without your Confirm.")
    return Reply(text, rows_of(alert, now_ms))


def _waits(alert: Alert, now_ms: int) -> str:
    wish = alert.wish
    often = "Once" if wish.every_ms is None else f"Every time, at most once in {written(wish.every_ms)}"
    parts = [f"{often}, until {moment(wish.expires_ms)} UTC."]
    if wish.kind != "move" and wish.every_ms is not None:
        parts.append(f"Again only after it went back by {format_amount(wish.back_percent)}%.")
    if alert.state.quiet_until_ms > now_ms:
        parts.append(f"Quiet until {moment(alert.state.quiet_until_ms)} UTC.")
    return " ".join(parts)


def rows_of(alert: Alert, now_ms: int) -> tuple[tuple[Key, ...], ...]:
    """Return the buttons of an alert."""
    about = {"id": alert.id}
    delete = button("🗑 Delete", "alert_delete", about, style="danger")
    if alert.ended:
        return ((button("Again", "alert_again", about), delete),)
    snoozes: tuple[Key, ...] = tuple(
        button(f"💤 {name}", "alert_snooze", about | {"ms": length}) for name, length in _SNOOZES
    )
    if alert.state.quiet_until_ms > now_ms:
        snoozes = (*snoozes, button("Wake", "alert_snooze", about | {"ms": 0}))
    return (snoozes, (button("✏ Edit", "alert_edit", about), delete, button("All alerts", "alert_list", {"page": 0})))


def listed(alerts: Sequence[Alert], page: int, now_ms: int) -> Reply:
    """Show a page of the alerts of a chat."""
    if not alerts:
        return Reply(Text().plain("No alerts wait here. Set one, such as /alert BTC/USDT > 60k."))
    last = (len(alerts) - 1) // PAGE
    page = min(max(page, 0), last)
    shown = alerts[page * PAGE : (page + 1) * PAGE]
    text = Text().bold(f"Alerts · {len(alerts)}").line()
    for alert in shown:
        quiet = " · quiet" if alert.state.quiet_until_ms > now_ms else ""
        again = "" if alert.wish.every_ms is None else f" · every {written(alert.wish.every_ms)}"
        text.line(f"#{alert.id} {alert.wish.title}{again}{quiet}")
    keys = [button(f"#{alert.id}", "alert_show", {"id": alert.id}) for alert in shown]
    rows: list[tuple[Key, ...]] = [tuple(keys[start : start + _WIDTH]) for start in range(0, len(keys), _WIDTH)]
    turns = ((page - 1, "‹ Back"), (page + 1, "More ›"))
    rows.append(tuple(button(name, "alert_list", {"page": to}) for to, name in turns if 0 <= to <= last))
    return Reply(text, tuple(row for row in rows if row))


def edit(alert: Alert, example: str) -> Reply:
    """Tell how an alert is changed, with the line to copy."""
    text = Text().bold(f"Edit #{alert.id}").line().line("Copy this line, change it and send it:").code(example)
    return Reply(text, ((Copy("Copy", example),), (button("Back", "alert_show", {"id": alert.id}),)))


def fired(payload: dict[str, Any], alert: Alert | None, happened: int, now_ms: int) -> Reply:
    """Show that an alert fired, with the buttons it has now."""
    text = Text().bold(f"🔔 {payload['title']}").line()
    for line in payload["lines"]:
        text.line(line)
    if happened > 1:
        text.line(f"It fired {happened} times since I last could tell you.")
    rows: tuple[tuple[Key, ...], ...] = () if alert is None or payload.get("elsewhere") else rows_of(alert, now_ms)
    if payload["intent"]:
        name = payload["order"]
        offer = Button(name, "ask", {"intent": payload["intent"], "stays": True}, seconds=86_400, style="primary")
        rows = ((offer,), *rows)
    return Reply(text, rows)


def moment(at_ms: int) -> str:
    """Write a point in time, UTC."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%d %b %H:%M")
