"""Alerts at work: the engine between the prices of the exchanges and the outbox.

What fires is committed together with the message that tells it. Until that commit it is kept here and in the engine
only: after a crash the alert still waits, and fires at the first price if its level still stands passed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial

from bot.accounts import roles
from bot.alerts import rows, rules
from bot.alerts.engine import Engine, Fired, Key
from bot.alerts.rows import Alert
from bot.alerts.rules import State
from bot.chat.alert_cards import moment
from bot.chat.alert_words import written
from bot.chat.numbers import format_amount, format_percent, format_price
from bot.clock import Clock, wait_at_most
from bot.contract.errors import BotError
from bot.contract.models import Market
from bot.contract.streams import PriceSeen
from bot.store.database import Connection, Store
from bot.trading import groups, notices
from bot.trading.feeds import Prices
from bot.trading.gateway import Gateway
from bot.trading.intent import Amount, Intent, Percent

log = logging.getLogger(__name__)
_TURN_SECONDS = 1
_FOLLOW_SECONDS = 60
_VOLUME_SECONDS = 60
_KEEP_SECONDS = 10
_AT_ONCE = 500
"""How many are committed in one transaction: an order's commit waits for no more than that."""


class Alerts:
    """Watches every alert of the instance.

    Args:
        store: Where they are.
        gateway: Knows pairs, and is asked for volumes.
        prices: Everybody's prices; one subscription serves all alerts of a pair.
        clock: Ours.
        told: Called after something to be told was committed.
        owner: The owner's id.
    """

    def __init__(
        self,
        store: Store,
        gateway: Gateway,
        prices: Prices,
        clock: Clock,
        told: Callable[[], None],
        *,
        owner: int | None,
    ) -> None:
        self.engine = Engine()
        self._store = store
        self._gateway = gateway
        self._prices = prices
        self._clock = clock
        self._told = told
        self._owner = owner
        self._wake = asyncio.Event()
        self._changed: list[int] = []
        self._fired: list[Fired] = []
        self._ended: list[int] = []
        self._pairs: dict[tuple[str, str], str] = {}
        self._markets: dict[tuple[str, str], Market] = {}
        self._is_loaded = False
        self._due: dict[str, float] = {}
        prices.listeners.append(self.saw)

    def changed(self, alert_id: int) -> None:
        """Look at an alert anew: it was set, edited, snoozed or deleted."""
        self._changed.append(alert_id)
        self._wake.set()

    def saw(self, exchange_id: str, price: PriceSeen) -> None:
        """Take a price in."""
        now_ms, symbol = self._clock.now_ms(), price.exchange_symbol
        if price.last is not None:
            self._tick((exchange_id, symbol, "price"), price.last, now_ms)
        if price.bid and price.ask and (exchange_id, symbol, "spread") in self.engine:
            self._tick((exchange_id, symbol, "spread"), spread(price.bid, price.ask), now_ms)

    def _tick(self, key: Key, value: Decimal, now_ms: int) -> None:
        if fired := self.engine.tick(key, rules.scaled(value), now_ms):
            self._fired += fired
            self._wake.set()

    async def run(self) -> None:
        """Watch until cancelled. What fires does not wait for an exchange that is being asked."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._keep_looking())
            while True:
                try:
                    await self.step()
                except Exception:
                    log.exception("looking after alerts failed")
                    await self._clock.sleep(_TURN_SECONDS)
                else:
                    await wait_at_most(self._clock, _TURN_SECONDS, self._wake)

    async def _keep_looking(self) -> None:
        while True:
            try:
                await self.look()
            except Exception:
                log.exception("asking for the figures of alerts failed")
            await self._clock.sleep(_TURN_SECONDS)

    async def step(self) -> None:
        """Learn what changed, let time pass, and commit what fired."""
        self._wake.clear()
        await self._learn()
        self._ended += self.engine.advance(self._clock.now_ms())
        await self._commit()

    async def look(self) -> None:
        """Keep the figures coming that somebody waits for."""
        await self._follow()
        await self._ask_volumes()

    async def _learn(self) -> None:
        """Take in what is stored: everything at the start, afterwards what changed."""
        if not self._is_loaded:
            found, values = await self._store.run(lambda db: (rows.waiting(db), rows.remembered(db)))
            for alert in found:
                self._put(alert)
            for key, (value, at_ms) in values.items():
                self.engine.saw(key, value, at_ms)
            self._is_loaded = True
        ids, self._changed = self._changed, []
        if not ids:
            return
        try:
            changed = await self._store.run(lambda db: {each: rows.get(db, each) for each in ids})
        except BaseException:
            self._changed += ids
            raise
        for alert_id, now in changed.items():
            self.engine.rearmed.pop(alert_id, None)
            if now is None or now.ended:
                self.engine.remove(alert_id, self._clock.now_ms())
            else:
                self._put(now)

    def _put(self, alert: Alert) -> None:
        wish = alert.wish
        pair = (wish.exchange, wish.exchange_symbol)
        if pair not in self._pairs:
            self._pairs[pair] = wish.symbol
            self._due["follow"] = 0
        self.engine.put(alert.id, wish.key, wish.rule, alert.state, wish.expires_ms, self._clock.now_ms())

    # The figures

    async def _follow(self) -> None:
        """Keep the prices of all pairs coming that somebody waits for."""
        if not self._is_due("follow", _FOLLOW_SECONDS):
            return
        wanted: dict[str, dict[str, str]] = defaultdict(dict)
        for exchange_id, symbol, figure in self.engine:
            if figure != "volume":
                wanted[exchange_id][symbol] = self._pairs[exchange_id, symbol]
        for exchange_id, symbols in wanted.items():
            try:
                await self._prices.keep(exchange_id, await self._known(exchange_id, symbols))
            except BotError as error:
                log.warning("%s: no prices for alerts: %s", exchange_id, error)
                self._due["follow"] = self._clock.monotonic() + _KEEP_SECONDS

    async def _known(self, exchange_id: str, symbols: Mapping[str, str]) -> list[Market]:
        known = await self._gateway.symbols(exchange_id)
        found = [market for symbol in symbols.values() if (market := known.get(symbol)) is not None]
        self._markets |= {(exchange_id, market.exchange_symbol): market for market in found}
        return found

    async def _ask_volumes(self) -> None:
        """Ask for the volumes of 24 hours; no stream tells them."""
        if not self._is_due("volume", _VOLUME_SECONDS):
            return
        for exchange_id, symbol, figure in tuple(self.engine):
            if figure != "volume":
                continue
            try:
                for market in await self._known(exchange_id, {symbol: self._pairs[exchange_id, symbol]}):
                    ticker = await self._gateway.ticker(exchange_id, market)
                    if ticker.base_volume_24h is not None:
                        self._tick((exchange_id, symbol, "volume"), ticker.base_volume_24h, self._clock.now_ms())
            except BotError as error:
                log.info("%s: no volume of %s: %s", exchange_id, symbol, error)

    def _is_due(self, what: str, every: int) -> bool:
        now = self._clock.monotonic()
        if now < self._due.get(what, 0):
            return False
        self._due[what] = now + every
        return True

    # What is committed

    async def _commit(self) -> None:
        """Store what fired, ended and was seen. What cannot be stored now is kept for the next turn."""
        while self._fired or self._ended or self.engine.rearmed:
            fired, ended = self._fired[:_AT_ONCE], self._ended[:_AT_ONCE]
            rearmed = dict(list(self.engine.rearmed.items())[:_AT_ONCE])
            await self._store.run(partial(self._store_all, fired=fired, ended=ended, rearmed=rearmed))
            del self._fired[: len(fired)], self._ended[: len(ended)]
            for alert_id, state in rearmed.items():
                if self.engine.rearmed.get(alert_id) is state:
                    del self.engine.rearmed[alert_id]
            self._told()
        if self._is_due("keep", _KEEP_SECONDS):
            seen = self.engine.seen()
            if seen:
                await self._store.run(lambda db: rows.remember(db, seen))

    def _store_all(self, db: Connection, *, fired: list[Fired], ended: list[int], rearmed: Mapping[int, State]) -> None:
        now_ms = self._clock.now_ms()
        rows.rearm(db, rearmed)
        for each in fired:
            self._fire(db, each, now_ms)
        for alert_id in ended:
            alert = rows.end(db, alert_id, "expired", now_ms)
            if alert is not None and self._may_be_told(db, alert):
                lines = [_expired(alert)]
                self._tell(db, alert, alert.chat_id, lines, intent="", now_ms=now_ms)

    def _fire(self, db: Connection, fired: Fired, now_ms: int) -> None:
        alert = rows.fire(db, fired)
        if alert is None:
            return
        if not self._may_be_told(db, alert):
            rows.end(db, alert.id, "fired", now_ms)
            return
        lines = self._lines(alert, fired)
        intent = alert.wish.intent
        is_private = alert.chat_id == alert.user_id
        self._tell(db, alert, alert.chat_id, lines, intent=intent if is_private else "", now_ms=now_ms)
        if intent and not is_private:
            self._tell(db, alert, alert.user_id, lines, intent=intent, now_ms=now_ms)

    def _may_be_told(self, db: Connection, alert: Alert) -> bool:
        """Say whether whoever set it may still use the bot."""
        return roles.standing(db, alert.user_id, self._owner) is not None

    def _tell(self, db: Connection, alert: Alert, chat_id: int, lines: list[str], *, intent: str, now_ms: int) -> None:
        payload = {
            "id": alert.id,
            "user_id": alert.user_id,
            "title": alert.wish.title,
            "lines": lines,
            "intent": intent,
            "order": order_in_words(intent),
            "elsewhere": chat_id != alert.chat_id,
        }
        merge_key = f"alert:{alert.id}:{alert.ended or 'fired'}"
        if groups.find(db, chat_id) is not None:  # which says how loud, and in which topic
            groups.post(
                db, "alerts", kind="alert", payload=payload, merge_key=merge_key, chat_id=chat_id, now_ms=now_ms
            )
            return
        notices.tell(
            db,
            chat_id=chat_id,
            kind="alert",
            lane="alert",
            payload=payload,
            merge_key=merge_key,
            thread_id=alert.thread_id if chat_id == alert.chat_id else None,
            now_ms=now_ms,
        )

    def _lines(self, alert: Alert, fired: Fired) -> list[str]:
        wish = alert.wish
        exchange = self._gateway.exchanges.get(wish.exchange)
        title = exchange.info.title + exchange.info.mark if exchange else wish.exchange
        value = rules.unscaled(fired.value)
        market = self._markets.get((wish.exchange, wish.exchange_symbol))
        lines = [f"Now {figure(wish.kind, value, market)} on {title}, {moment(fired.at_ms)} UTC."]
        if fired.away_since_ms:
            since, until = moment(fired.away_since_ms), moment(fired.at_ms)
            lines.append(f"I saw nothing from {since} to {until} UTC: it happened in that time, I cannot say when.")
        if wish.every_ms is None:
            lines.append(f"#{alert.id} waits no more.")
        else:
            lines.append(f"#{alert.id} fires again in {written(wish.every_ms)} at the earliest.")
        return lines


def spread(bid: Decimal, ask: Decimal) -> Decimal:
    """Return the distance of the best bid and ask, in per cent of the middle."""
    return 200 * (ask - bid) / (ask + bid)


def figure(kind: rows.Kind, value: Decimal, market: Market | None) -> str:
    """Write what an alert saw: a price, a spread or a volume."""
    if kind == "spread":
        return format_percent(value / 100)
    if kind == "volume":
        unit = f" {market.base}" if market else ""
        return f"{value:,.0f}{unit} in 24 h"
    return format_price(value, market.price_step) if market else format_amount(value)


def order_in_words(intent: str) -> str:
    """Return what the button of a prepared order says."""
    if not intent:
        return ""
    order = Intent.from_json(intent)
    match order.size:
        case Amount(value, asset):
            size = f"${format_amount(value)}" if asset == "$" else f"{format_amount(value)} {asset or ''}".strip()
        case Percent(value):
            size = f"{format_amount(value)}%"
        case _:
            size = "max"
    return f"Preview: {order.side} {size}"


def _expired(alert: Alert) -> str:
    if alert.fired:
        return f"#{alert.id} has ended: its time is over."
    return f"#{alert.id} has ended: it did not happen until {moment(alert.wish.expires_ms)} UTC."
