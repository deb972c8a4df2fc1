"""The orders and the story that every plugin is asked to act out: what is placed, looked for, listed and canceled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any
from unittest import SkipTest

from bot.contract.models import Account, Base, Market, Order, Quote
from bot.contract.wire import Request, Response
from bot.testing.drafts import drafts
from bot.testing.rehearsal import Call, Rehearsal
from bot.testing.strict import StrictExchange


class Story(Rehearsal):
    """What a plugin is asked for, on each of its accounts."""

    def market_of(self, account: Account) -> tuple[Market, Decimal]:
        """Return a market in which to trade, and its price."""
        exchange = self.exchange(account)
        if exchange is None:
            return self.market, Decimal(60000)
        market = self.online(self.ask(exchange, "markets").result)
        return market, self.ask(exchange, "ticker", market=market).result.last

    def online(self, markets: Sequence[Market]) -> Market:
        """Return the first market that takes orders."""
        online = [each for each in markets if each.status == "online"]
        self.require(online, "markets", "shows no online market", "Let the local exchange have one, with money in it.")
        return online[0]

    def declared(self, order: Order) -> bool:
        """Return whether the plugin says that it takes such an order."""
        can = self.info.capabilities
        units = {"base"}
        if order.side == "buy" and order.type in ("market", "stop_market"):
            units = {*can.market_buy_in}
        return (
            order.type in can.order_types
            and ("quote" if isinstance(order.size, Quote) else "base") in units
            and (order.time_in_force == "GTC" or order.time_in_force in can.times_in_force)
            and (can.post_only or not order.post_only)
        )

    def draft(self, account: Account, order: Order, *, carried_out: bool = False) -> Call:
        """Ask for `order`, up to the placing request, or to the end where there is an exchange to carry it out."""
        exchange = self.exchange(account)

        def answer(request: Request) -> Response | None:
            stops = exchange is None or (request.places and not carried_out)
            return None if exchange is None or stops else self.send(exchange, request)

        return self.run("place_order", {"account": account, "order": order}, answer)

    def draft_all(self, *, carried_out: bool = False) -> list[Call]:
        """Draft every declared order for every account."""
        calls = []
        for account in self.accounts:
            for order in filter(self.declared, drafts(*self.market_of(account))):
                ours = replace(order, client_order_id=self.new_id())
                calls.append(self.draft(account, ours, carried_out=carried_out))
        return calls

    def calls(self) -> list[Call]:
        """Return the stories of all accounts."""
        return [call for account in self.accounts for call in self.story(account)]

    def signed_requests(self) -> list[Request]:
        """Return every request that goes through `sign`, logins of sockets included."""
        calls = self.draft_all()
        if self.exchange(self.accounts[0]) is not None:
            calls += self.calls()
        elif "private_stream" in self.hooks:
            calls += [self.run("private_stream", {"account": each}, lambda _: None) for each in self.accounts]
        requests = [request for call in calls for request in call.requests]
        streams = [each for call in calls if call.hook == "private_stream" for each in call.result or ()]
        requests += [each.login for each in streams if each.login is not None]
        return [request for request in requests if request.auth != "none"]

    def story(self, account: Account) -> list[Call]:
        """Use every hook once or more, in the order of an order's life."""
        exchange = self.exchange(account)
        if exchange is None:
            raise SkipTest("override `exchange` to run the flows against a strict local exchange")
        calls: list[Call] = []

        def ask(hook: str, **arguments: Any) -> Any:
            if hook not in self.hooks:
                return None
            calls.append(self.ask(exchange, hook, **arguments))
            return calls[-1].result

        def holds(ok: object, hook: str, what: str) -> None:
            if hook in self.hooks:
                self.require(ok, hook, what, f"Compare it with what {type(exchange).__name__} answered.")

        def ids(reports: Any) -> set[str]:
            return {each.exchange_order_id for each in reports or ()}

        me = {"account": account}
        market = self.online(ask("markets"))
        here = {**me, "markets": [market]}
        last = ask("ticker", market=market).last
        ask("order_book", market=market)
        self._look_at_candles(exchange, market, ask, holds)
        server_ms = ask("server_time")
        close = server_ms is None or abs(server_ms - exchange.clock()) < 2000
        holds(close, "server_time", f"says {server_ms}, not {exchange.clock()} milliseconds")
        for hook in ("detect", "key_permissions", "balances", "private_stream"):
            ask(hook, **me)
        ask("public_stream", markets=[market])
        plain = [each for each in drafts(market, last) if self.declared(each) and each.time_in_force == "GTC"]
        plain = [each for each in plain if not each.post_only and each.type in ("limit", "market")]
        orders = [replace(each, client_order_id=self.new_id()) for each in plain]
        acks = [ask("place_order", order=order, **me) for order in orders]
        resting, tells_ids = set(), True
        for order, ack in zip(orders, acks, strict=True):
            which = f"the {order.type} {order.side} {order.client_order_id}"
            holds(ack.client_order_id == order.client_order_id, "place_order", f"acknowledges {which} by another id")
            found = ask("find_order", order=order, **me)
            holds(found, "find_order", f"does not find {which}")
            tells_ids = tells_ids and bool(found and found.client_order_id == order.client_order_id)
            status = ask("order_status", order=order, exchange_order_id=ack.exchange_order_id, **me)
            states = ("open",) if order.type == "limit" else ("filled",)
            for hook, report in (("find_order", found), ("order_status", status)):
                told = report and (report.side, report.type, report.state in states, report.exchange_symbol)
                right = told == (order.side, order.type, True, market.exchange_symbol)
                holds(right, hook, f"reports {which} as {report}")
            resting |= {ack.exchange_order_id} if order.type == "limit" else set()
            if order.type == "market":
                mine = ask("fills", exchange_order_id=ack.exchange_order_id, **here)
                holds(ids(mine) == {ack.exchange_order_id}, "fills", f"shows {mine} for {which}")
        # Where the exchange does not tell our ids, a plugin may go by the terms of an order: then those differ too.
        size = orders[0].size if tells_ids else Base(orders[0].size.amount * 3)
        absent = ask("find_order", order=replace(orders[0], client_order_id=self.new_id(), size=size), **me)
        holds(absent is None, "find_order", f"finds an order that was never placed: {absent}")
        shown = ids(ask("open_orders", **here))
        holds(shown == resting, "open_orders", f"shows {shown}, not {resting}")
        for order, ack in zip(orders, acks, strict=True):
            if order.type == "limit" and (order.side == "buy" or "cancel_all" not in self.hooks):
                ask("cancel_order", order=order, exchange_order_id=ack.exchange_order_id, **me)
                gone = ask("order_status", order=order, exchange_order_id=ack.exchange_order_id, **me)
                holds(gone is None or gone.state == "canceled", "order_status", f"reports a canceled order as {gone}")
        ask("cancel_all", market=market, **me)
        left = ask("open_orders", **here)
        holds(not left, "cancel_all", f"leaves open {left}")
        past = ids(ask("order_history", **here))
        holds(past >= {each.exchange_order_id for each in acks} - resting, "order_history", f"shows only {past}")
        ask("fills", exchange_order_id="", **here)
        ask("balances", **me)
        return calls

    def _look_at_candles(
        self,
        exchange: StrictExchange,
        market: Market,
        ask: Callable[..., Any],
        holds: Callable[[object, str, str], None],
    ) -> None:
        """Ask for two days of hours."""
        end_ms = exchange.clock()
        start_ms = end_ms - 48 * 3_600_000
        found = ask("candles", market=market, interval="1h", start_ms=start_ms, end_ms=end_ms) or []
        times = [each.at_ms for each in found]
        holds(found and times == sorted({*times}), "candles", f"shows candles of {times}, not each once, oldest first")
        holds(all(start_ms <= at <= end_ms for at in times), "candles", f"shows candles of {times}, outside the hours")
        fits = all(each.low <= min(each.open, each.close) <= max(each.open, each.close) <= each.high for each in found)
        holds(fits, "candles", f"mixes up open, high, low and close in {found[:2]}")
