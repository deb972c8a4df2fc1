"""A Bitget that answers at once and counts: markets, prices, balances, open orders. Prints its port and runs.

`GET /measure/count` tells how many requests came since it was asked last; `GET /measure/markets`, how many of them read
a list of markets.
"""

from __future__ import annotations

import asyncio
import json
import os
import time

from bench.server import ORDER, Exchange, framed

_SYMBOL = {
    "symbol": "BTCUSDT",
    "baseCoin": "BTC",
    "quoteCoin": "USDT",
    "minTradeAmount": "0",
    "maxTradeAmount": "10000000000",
    "takerFeeRate": "0.001",
    "makerFeeRate": "0.001",
    "pricePrecision": "2",
    "quantityPrecision": "6",
    "quotePrecision": "8",
    "minTradeUSDT": "1",
    "status": "online",
}
_PRICE = {"symbol": "BTCUSDT", "lastPr": "25000", "bidPr": "25000", "askPr": "25001", "ts": "1"}
_MONEY = [{"coin": "USDT", "available": "1000000000", "frozen": "0", "locked": "0"}]
_TIME = "/api/v2/public/time"
_MARKETS = "/api/v2/spot/public/symbols"
_ANSWERS: dict[str, object] = {
    _MARKETS: [_SYMBOL],
    "/api/v2/spot/market/tickers": [_PRICE],
    "/api/v2/spot/account/assets": _MONEY,
    "/api/v2/spot/trade/current-plan-order": {"orderList": []},
}
"""Path to data. A list that is asked for and not here is empty; what is posted is an order."""

_CLASSIC = {"/api/v3/account/settings": "40084"}
"""What only a unified account may ask, and the code of the refusal."""


def _answer(path: str) -> bytes:
    now_ms = int(time.time() * 1000)
    data = {"serverTime": str(now_ms)} if path == _TIME else _ANSWERS.get(path, [])
    body = {"code": _CLASSIC.get(path, "00000"), "msg": "", "requestTime": now_ms, "data": data}
    return framed(json.dumps(body, separators=(",", ":")).encode())


class Bitget(Exchange):
    """One connection of a client, or of who measures."""

    asked: list[str] = []  # noqa: RUF012  # shared by all connections

    def answer(self, head: bytes) -> bytes:
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        path = target.partition("?")[0]
        if path == "/measure/count":
            count = len(self.asked)
            self.asked.clear()
            return framed(json.dumps(count).encode())
        if path == "/measure/markets":
            return framed(json.dumps(self.asked.count(_MARKETS)).encode())
        self.asked.append(path)
        return framed(ORDER) if method == "POST" else _answer(path)


async def _main() -> None:
    server = await asyncio.get_running_loop().create_server(Bitget, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    os.sched_setaffinity(0, {0})
    asyncio.run(_main())
