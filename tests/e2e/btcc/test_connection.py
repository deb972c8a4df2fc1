"""BTCC's clock, blocks and socket, met by a whole bot."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from bot.testing.ledger import Order
from bot.testing.sockets import Peer, SocketServer, StrictSockets
from bot.trading.reconcile import Reconciler
from tests.e2e.btcc.conftest import KEY, BtccDesk, confirm, neighbours

pytestmark = pytest.mark.network


class BtccSockets(StrictSockets):
    """BTCC's socket as far as orders go; it knows the subscription by its second name only.

    Attributes:
        methods: What was asked for, with its success.
    """

    def __init__(self) -> None:
        super().__init__()
        self.methods: list[tuple[str, bool]] = []

    def admit(self, path: str, headers: Mapping[str, str]) -> int:
        """Take handshakes at the documented path."""
        return 101 if path == "/ws" else 404

    def receive(self, peer: Peer, frame: str | bytes) -> None:
        """Answer one call; news of orders only after the login."""
        call = json.loads(frame)
        method, params, code = call["method"], call["params"], 0
        if method == "server.accessid_auth":
            peer.facts["known"] = params == [KEY["key"], hashlib.sha256(KEY["secret"].encode()).hexdigest()]
            code = 0 if peer.facts["known"] else 1
        elif method == "orders.subscribe":
            code = 0 if peer.facts.get("known") else 6
        elif method != "server.ping":
            code = 4
        self.methods.append((method, not code))
        error = {"code": code, "message": "refused"} if code else None
        peer.send(json.dumps({"error": error, "id": call["id"], "result": None if code else {"status": "success"}}))

    def tell(self, changed: object) -> None:
        """Push what became of an order."""
        if isinstance(changed, Order):
            for peer in self.peers:
                peer.send(json.dumps({"id": None, "method": "order.update", "params": [2, {"id": int(changed.id)}]}))


@pytest.mark.parametrize("ahead_ms", [60_000, -60_000])
async def test_clock_off_by_a_minute_is_measured_and_allowed_for(tmp_path: Path, ahead_ms: int) -> None:
    """BTCC takes seconds within a window; the bot signs by BTCC's clock."""
    async with neighbours(tmp_path, ahead_ms=ahead_ms) as desk:
        await desk.connect()
        await confirm(desk, "/buy BTC/USDT 0.001 @ 50000")
        await desk.see("Accepted")


async def test_clock_moving_later_is_measured_again(desk: BtccDesk) -> None:
    """A refused signature makes the bot ask for the time and read once more."""
    desk.exchange.clock = lambda: desk.clock.now_ms() + 60_000
    desk.say("/balance")
    await desk.see("1,000.00")


async def test_blocked_address_waits_and_asks_nothing(desk: BtccDesk) -> None:
    """After a 429 no request leaves before the time that BTCC told, and the person is told in plain words."""
    desk.exchange.block(60)
    desk.say("/balance")
    await desk.see("too many requests")
    sent = len(desk.exchange.received)
    desk.say("/price BTC/USDT")
    await desk.see("BTCC allows no more requests for")
    assert (len(desk.exchange.received), desk.exchange.early_requests) == (sent, 1)


async def test_fill_told_by_the_socket_shows_without_polling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The login is taken, the subscription found by its other name, and a fill is on the card at once."""
    monkeypatch.setattr(Reconciler, "_interval", lambda *_: 3600.0)
    sockets = BtccSockets()
    async with SocketServer(sockets) as server, neighbours(tmp_path, stream_url=server.url) as desk:
        await desk.connect()
        desk.exchange.ledger.watchers.append(sockets.tell)
        await confirm(desk, "/buy BTC/USDT 0.001 @ 50000")
        await desk.see("Accepted")
        await server.until(lambda: ("orders.subscribe", True) in sockets.methods)
        desk.exchange.ledger.fill(desk.exchange.orders()[0], "0.0004")
        await desk.see("Partly filled", "40%")  # perhaps only because the stream opened
        desk.exchange.ledger.fill(desk.exchange.orders()[0], "0.0006")
        await desk.see("✅ Filled", "0.001 BTC")
    assert [call for call in sockets.methods if call[0] != "server.ping"] == [
        ("server.accessid_auth", True),
        ("order.subscribe", False),
        ("orders.subscribe", True),
    ]
