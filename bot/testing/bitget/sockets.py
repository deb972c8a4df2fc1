"""The strict Bitget's WebSockets: v2 and v3, public and private.

Stricter than the real one where that finds mistakes early: unknown fields of a subscription are refused.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Mapping
from typing import Any

from bot.testing.bitget import orders
from bot.testing.bitget.call import BitgetAccount
from bot.testing.bitget.exchange import StrictBitget, signature
from bot.testing.ledger import Order, Pair, Plan, plain
from bot.testing.sockets import Peer, StrictSockets

_PATHS = {"/v2/ws/public", "/v2/ws/private", "/v3/ws/public", "/v3/ws/private"}
_SECONDS = re.compile(r"\d{10}")
_CHANNELS = {
    # path: (value of `instType`, channels)
    "/v2/ws/public": ("SPOT", {"ticker"}),
    "/v2/ws/private": ("SPOT", {"orders", "fill", "orders-algo"}),
    "/v3/ws/public": ("spot", {"ticker"}),
    "/v3/ws/private": ("UTA", {"order", "fill"}),
}
_MOST_A_SECOND = 10
_LARGEST_SUBSCRIPTION = 4096


class BitgetSockets(StrictSockets):
    """Tells what happens in the ledger of a strict Bitget.

    Args:
        exchange: Whose accounts and ledger.

    Attributes:
        logins: How many logins were accepted.
    """

    def __init__(self, exchange: StrictBitget) -> None:
        super().__init__()
        self.exchange = exchange
        self.logins = 0
        exchange.ledger.watchers.append(self._push)

    def admit(self, path: str, headers: Mapping[str, str]) -> int:
        """Let in whoever knows the way."""
        return 101 if path in _PATHS else 404

    def greet(self, peer: Peer) -> None:
        """Say nothing; Bitget does not."""
        peer.facts.update(account=None, channels=[], times=deque())

    def receive(self, peer: Peer, frame: str | bytes) -> None:
        """Answer a ping, a login or a subscription."""
        now, times = self.exchange.clock(), peer.facts["times"]
        times.append(now)
        while times[0] <= now - 1000:
            times.popleft()
        if len(times) > _MOST_A_SECOND:
            self._refuse(peer, 30007, "request over limit, connection close")
        elif frame == "ping":
            peer.send("pong")
        else:
            self._carry_out(peer, frame)

    def _carry_out(self, peer: Peer, frame: str | bytes) -> None:
        try:
            message = json.loads(frame)
            op, args = message.pop("op"), message.pop("args")
        except (ValueError, KeyError, AttributeError):
            return self._refuse(peer, 30002, "illegal request")
        if message or not isinstance(args, list) or not args:
            return self._refuse(peer, 30016, "Param error")
        if op == "login":
            return self._login(peer, args)
        if op != "subscribe":
            return self._refuse(peer, 30003, "invalid op")
        if len(frame) > _LARGEST_SUBSCRIPTION:
            return self._refuse(peer, 30016, "the subscription is too long")
        if peer.path.endswith("private") and peer.facts["account"] is None:
            return self._refuse(peer, 30004, "User not logged in / User must be connected")
        for arg in args:
            self._subscribe(peer, arg)
        return None

    def _login(self, peer: Peer, args: list[Any]) -> None:
        fields = args[0] if isinstance(args[0], dict) else {}
        if set(fields) != {"apiKey", "passphrase", "timestamp", "sign"} or len(args) != 1:
            return self._refuse(peer, 30016, "Param error")
        account = self.exchange.accounts.get(fields["apiKey"])
        time = fields["timestamp"]
        if account is None or not peer.path.endswith("private"):
            return self._refuse(peer, 30011, "Invalid ACCESS_KEY")
        if fields["passphrase"] != account.passphrase:
            return self._refuse(peer, 30012, "Invalid ACCESS_PASSPHRASE")
        if not isinstance(time, str) or not _SECONDS.fullmatch(time):
            return self._refuse(peer, 30013, "Invalid ACCESS_TIMESTAMP")
        if abs(self.exchange.clock() - int(time) * 1000) > 30_000:
            return self._refuse(peer, 30014, "Request timestamp expired")
        if fields["sign"] != signature(account.secret, f"{time}GET/user/verify".encode()).decode():
            return self._refuse(peer, 30015, "Invalid sign")
        if (account.mode == "unified") != peer.path.startswith("/v3"):
            return self._refuse(peer, 30005, "error")
        self.logins += 1
        peer.facts["account"] = account
        peer.send('{"event":"login","code":"0","msg":""}')
        return None

    def _subscribe(self, peer: Peer, arg: Any) -> None:
        is_v2, kind = peer.path.startswith("/v2"), _CHANNELS[peer.path]
        names = ("channel", "instId") if is_v2 else ("topic", "symbol")
        is_private = peer.path.endswith("private")
        wanted = {"instType", names[0]} | ({names[1]} if is_v2 or not is_private else set())
        if not isinstance(arg, dict) or set(arg) != wanted or arg["instType"] != kind[0]:
            return self._refuse(peer, 30016, "Param error")
        symbol = arg.get(names[1], "default")
        known = {*self.exchange.ledger.pairs, *(["default"] if is_private else [])}
        if arg[names[0]] not in kind[1] or symbol not in known:
            text = f"{names[1]}:{symbol} {names[0]}:{arg[names[0]]} doesn't exist"
            return peer.send(_dump({"event": "error", "arg": arg, "code": 30001, "msg": text, "op": "subscribe"}))
        peer.facts["channels"].append(arg)
        peer.send(_dump({"event": "subscribe", "arg": arg}))
        if not is_private:
            self._tell(peer, arg, self.exchange.ledger.pairs[symbol])
        return None

    def _refuse(self, peer: Peer, code: int, text: str) -> None:
        peer.send(_dump({"event": "error", "code": code, "msg": text}))
        peer.close()

    def _push(self, changed: Order | Plan | Pair) -> None:
        for peer in self.peers:
            for arg in peer.facts.get("channels", ()):
                self._tell(peer, arg, changed)

    def _tell(self, peer: Peer, arg: Mapping[str, str], changed: Order | Plan | Pair) -> None:
        rows = _rows(arg, changed, self.exchange, peer.facts["account"])
        if rows:
            now = self.exchange.clock()
            peer.send(_dump({"action": "snapshot", "arg": arg, "data": rows, "ts": now}))


def _rows(
    arg: Mapping[str, str], changed: Order | Plan | Pair, exchange: StrictBitget, account: BitgetAccount | None
) -> list[dict[str, Any]]:
    """Return what this channel tells of this change."""
    channel = arg.get("channel") or f"v3 {arg['topic']}"
    now = str(exchange.clock())
    if isinstance(changed, Pair):
        if arg.get("instId", arg.get("symbol")) != changed.symbol:
            return []
        (bid, bid_size), (ask, ask_size) = _best(changed.bids), _best(changed.asks)
        last = plain(changed.last)
        if channel == "ticker":
            day = dict.fromkeys(("open24h", "high24h", "low24h", "openUtc"), last)
            sizes = {"bidSz": bid_size, "askSz": ask_size, "baseVolume": "0", "quoteVolume": "0"}
            return [{"instId": changed.symbol, "lastPr": last, "bidPr": bid, "askPr": ask, **day, **sizes, "ts": now}]
        if channel == "v3 ticker":
            quotes = {"bid1Price": bid, "bid1Size": bid_size, "ask1Price": ask, "ask1Size": ask_size}
            return [{"lastPrice": last, **quotes, "volume24h": "0", "turnover24h": "0"}]
        return []
    if changed.account is not account or changed.hidden:
        return []
    ids = orders.ids(changed)
    if isinstance(changed, Plan):
        words = {"open": "live", "triggered": "executed", "failed": "fail_execute", "canceled": "cancelled"}
        row = {**ids, "instId": changed.pair.symbol, "status": words[changed.status], "uTime": now}
        return [row] if channel == "orders-algo" else []
    execution = next((each for each in reversed(exchange.ledger.executions) if each.order is changed), None)
    is_fill = execution is not None and changed.status != "canceled"
    if channel == "orders":
        return [_order(changed)]
    if channel == "v3 order":
        return [_order_v3(changed)]
    if execution is None or not is_fill:
        return []
    traded = {"price": plain(execution.price), "size": plain(execution.quantity), "value": plain(changed.value)}
    if channel == "fill":
        row = {"orderId": changed.id, "tradeId": execution.id, "symbol": changed.pair.symbol, "side": changed.side}
        return [{**row, "priceAvg": traded["price"], "size": traded["size"], "cTime": now, "uTime": now}]
    if channel == "v3 fill":
        row = {"execId": execution.id, **ids, "category": "spot", "symbol": changed.pair.symbol, "side": changed.side}
        return [{**row, "execPrice": traded["price"], "execQty": traded["size"], "execTime": now}]
    return []


def _best(levels: list[Any]) -> tuple[str, str]:
    return (plain(levels[0][0]), plain(levels[0][1])) if levels else ("", "")


def _order(order: Order) -> dict[str, Any]:
    size = plain(order.budget or order.quantity)
    return {
        "instId": order.pair.symbol,
        **orders.ids(order),
        "size": plain(order.budget or order.quantity * order.price) if order.side == "buy" else size,
        "newSize": size,
        "orderType": order.kind,
        "force": "post_only" if order.post_only else order.time_in_force,
        "side": order.side,
        **({"price": plain(order.price)} if order.kind == "limit" else {}),
        "accBaseVolume": plain(order.filled),
        "priceAvg": plain(order.average_price),
        "status": orders.status(order),
        "cTime": str(order.created_ms),
        "uTime": str(order.updated_ms),
        "feeDetail": [{"feeCoin": order.gets, "fee": plain(-order.fee)}],
        "enterPointSource": "API",
    }


def _order_v3(order: Order) -> dict[str, Any]:
    return {
        "category": "spot",
        "symbol": order.pair.symbol,
        **orders.ids(order),
        "price": plain(order.price),
        "qty": plain(order.quantity),
        "amount": plain(order.budget),
        "side": order.side,
        "orderType": order.kind,
        "timeInForce": "post_only" if order.post_only else order.time_in_force,
        "cumExecQty": plain(order.filled),
        "cumExecValue": plain(order.value),
        "avgPrice": plain(order.average_price),
        "orderStatus": orders.status(order),
        "feeDetail": [{"feeCoin": order.gets, "fee": plain(order.fee)}],
        "createdTime": str(order.created_ms),
        "updatedTime": str(order.updated_ms),
    }


def _dump(message: Mapping[str, Any]) -> str:
    return json.dumps(message, separators=(",", ":"))
