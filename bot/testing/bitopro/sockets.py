"""The strict BitoPro's WebSockets: the address is the subscription, and the headers are the login."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from bot.testing.bitopro.call import Shown, status
from bot.testing.bitopro.exchange import StrictBitoPro
from bot.testing.bitopro.orders import order_row
from bot.testing.ledger import Order, Pair, Plan, plain
from bot.testing.sockets import Peer, StrictSockets
from bot.testing.strict import Received, Refused

TICKERS = "/ws/v1/pub/tickers"
STREAMS = {"/ws/v1/pub/auth/orders": "ACTIVE_ORDERS", "/ws/v1/pub/auth/orders/histories": "RECENT_HISTORY_ORDERS"}
OPEN = {-1, 0, 1}


class BitoProSockets(StrictSockets):
    """Tells what happens in the ledger of a strict BitoPro.

    Args:
        exchange: Whose accounts and ledger.
    """

    def __init__(self, exchange: StrictBitoPro) -> None:
        super().__init__()
        self.exchange = exchange
        exchange.ledger.watchers.append(self._push)

    def admit(self, path: str, headers: Mapping[str, str]) -> int:
        """Refuse by HTTP status, which for the real one is expected and not known."""
        address = path.partition("?")[0]
        if address == TICKERS:
            return 101 if _pairs(path) <= set(self.exchange.ledger.pairs) else 404
        if address not in STREAMS:
            return 404
        try:
            self.exchange.authenticate(Received("GET", path, headers), "read")
        except Refused as refused:
            return refused.status
        return 101

    def greet(self, peer: Peer) -> None:
        """Send the latest at once: prices, or all orders of the stream's kind."""
        if peer.path in STREAMS:
            account = self.exchange.accounts[peer.headers["x-bitopro-apikey"]]
            self._tell_orders(peer, [row for row in self.exchange.shown(account) if self._is_for(peer, row)])
        for name in sorted(_pairs(peer.path)):
            self._push_price(peer, self.exchange.ledger.pairs[name])

    def receive(self, peer: Peer, frame: str | bytes) -> None:
        """There is nothing to say to it."""
        raise AssertionError(f"BitoPro takes no frames, and got one of {len(frame)} characters")

    def _push(self, changed: Order | Plan | Pair) -> None:
        for peer in self.peers:
            if isinstance(changed, Pair):
                self._push_price(peer, changed)
            elif peer.path in STREAMS and self._is_for(peer, changed):
                self._tell_orders(peer, [changed])

    def _is_for(self, peer: Peer, row: Shown) -> bool:
        if isinstance(row, Plan) and row.order is not None:
            return False  # it is another order now
        is_open = status(row) in OPEN
        is_own = row.account is self.exchange.accounts[peer.headers["x-bitopro-apikey"]] and not row.hidden
        return is_own and is_open == (STREAMS[peer.path] == "ACTIVE_ORDERS")

    def _tell_orders(self, peer: Peer, rows: list[Shown]) -> None:
        data: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            shown = order_row(self.exchange, row)
            if "clientId" in shown:
                shown["clientID"] = shown.pop("clientId")  # spelled otherwise than in REST
            data.setdefault(row.pair.symbol, []).append(shown)
        self._send(peer, STREAMS[peer.path], data=data)

    def _push_price(self, peer: Peer, pair: Pair) -> None:
        if pair.symbol in _pairs(peer.path):
            last = plain(pair.last)
            day = {"priceChange24hr": "0", "volume24hr": "1", "high24hr": last, "low24hr": last}
            self._send(peer, "TICKER", pair=pair.symbol.upper(), lastPrice=last, isBuyer=True, **day)

    def _send(self, peer: Peer, event: str, **fields: object) -> None:
        now = self.exchange.clock()
        when = {"timestamp": now, "datetime": datetime.fromtimestamp(now / 1000, UTC).isoformat()}
        peer.send(json.dumps({"event": event, "eventID": f"event-{now}", **fields, **when}))


def _pairs(path: str) -> set[str]:
    address, _, query = path.partition("?")
    named = parse_qs(query).get("pairs", [""])[0] if address == TICKERS else ""
    return {name.lower() for name in named.split(",") if name}
