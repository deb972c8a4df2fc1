"""The strict Bitrue's WebSockets: gzipped books on one path, and news of orders behind a listen key on another."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from bot.testing.bitrue.call import BitrueAccount
from bot.testing.bitrue.exchange import StrictBitrue
from bot.testing.ledger import Order, Pair, Plan, plain
from bot.testing.sockets import Peer, StrictSockets

PRICES, ORDERS = "/market/ws", "/stream"
CODES = {"open": 1, "filled": 2, "canceled": 4}


class BitrueSockets(StrictSockets):
    """Tells what happens in the ledger of a strict Bitrue.

    Args:
        exchange: Whose accounts and ledger.

    Attributes:
        pongs: How many heartbeats were answered, on either path.
    """

    def __init__(self, exchange: StrictBitrue) -> None:
        super().__init__()
        self.exchange = exchange
        self.pongs = 0
        exchange.ledger.watchers.append(self._push)

    def admit(self, path: str, headers: Mapping[str, str]) -> int:
        """Take handshakes for prices, and those with a listen key that is valid."""
        address = path.partition("?")[0]
        if address == PRICES:
            return 101
        return 101 if address == ORDERS and self._account(path) is not None else 401

    def greet(self, peer: Peer) -> None:
        """Begin with a heartbeat, each path with its own."""
        if peer.path == PRICES:
            self._send(peer, {"ping": str(self.exchange.clock())})
        else:
            self._send(peer, {"event": "ping", "ts": self.exchange.clock()})

    def receive(self, peer: Peer, frame: str | bytes) -> None:
        """Take subscriptions and heartbeats; anything else is a mistake of the caller's."""
        content = json.loads(frame)
        if "pong" in content or content.get("event") == "pong":
            self.pongs += 1
            return
        channel = content["params"]["channel"]
        assert content["event"] == "sub", content
        known = re.fullmatch(r"market_([a-z0-9]+)_simple_depth_step0", channel)
        pair = self.exchange.ledger.pairs.get(known[1].upper()) if known else None
        is_taken = pair is not None if peer.path == PRICES else channel == "user_order_update"
        peer.facts[channel] = is_taken
        status = "ok" if is_taken else "error"
        self._send(peer, {"channel": channel, "event_rep": "subed", "status": status, "ts": self.exchange.clock()})
        if pair is not None:
            self._push_book(peer, pair)

    def _account(self, path: str) -> BitrueAccount | None:
        key = parse_qs(path.partition("?")[2]).get("listenKey", [""])[0]
        found = self.exchange.listen_keys.get(key)
        return found.account if found is not None and found.until_ms >= self.exchange.clock() else None

    def _push(self, changed: Order | Plan | Pair) -> None:
        for peer in self.peers:
            if isinstance(changed, Pair):
                self._push_book(peer, changed)
            elif isinstance(changed, Order) and self._is_for(peer, changed):
                self._send(peer, self._order(changed))

    def _is_for(self, peer: Peer, order: Order) -> bool:
        is_asked = peer.facts.get("user_order_update") and not order.hidden
        return bool(is_asked) and self._account(peer.path) is order.account

    def _push_book(self, peer: Peer, pair: Pair) -> None:
        channel = f"market_{pair.symbol.lower()}_simple_depth_step0"
        if peer.facts.get(channel):
            sides = {"buys": pair.bids, "asks": pair.asks}
            tick = {name: [[plain(price), plain(size)] for price, size in side] for name, side in sides.items()}
            self._send(peer, {"ts": self.exchange.clock(), "channel": channel, "tick": tick})

    def _order(self, order: Order) -> dict[str, Any]:
        state = 3 if order.status == "open" and order.filled else CODES[order.status]
        quantity = self.exchange.quantities.get(order.id, order.quantity)
        return {
            "e": "ORDER",
            # As a program that keeps numbers with a fraction would have it: only the text is right.
            "i": int(float(order.id)),
            "iStr": order.id,
            "E": self.exchange.clock(),
            "s": order.pair.symbol.lower(),
            "S": 1 if order.side == "buy" else 2,
            "o": 1 if order.kind == "limit" else 2,
            "q": plain(quantity),
            "p": plain(order.price),
            "X": state,
            "z": plain(order.filled),
            "Y": plain(order.value),
            "O": order.created_ms,
            "C": order.client_id,
        }

    def _send(self, peer: Peer, content: dict[str, Any]) -> None:
        text = json.dumps(content, separators=(",", ":"))
        peer.send(gzip.compress(text.encode()) if peer.path == PRICES else text)
