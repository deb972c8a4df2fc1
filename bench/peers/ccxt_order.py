"""ccxt's asynchronous Bitget client, its rate limiter off. Runs with an interpreter that has ccxt."""

import sys
from pathlib import Path

import ccxt.async_support as ccxt  # type: ignore[import-not-found]

sys.path.insert(0, str(Path(__file__).parents[2]))
from bench.clients import serve

origin = sys.argv[1]
bitget = ccxt.bitget({"apiKey": "key", "secret": "secret", "password": "passphrase", "enableRateLimit": False})
bitget.urls["api"] = dict.fromkeys(bitget.urls["api"], origin)
bitget.options["uta"] = False
bitget.set_markets(
    [
        {
            "id": "BTCUSDT",
            "symbol": "BTC/USDT",
            "base": "BTC",
            "quote": "USDT",
            "type": "spot",
            "spot": True,
            "swap": False,
            "future": False,
            "precision": {"amount": 0.000001, "price": 0.01},
            "info": {},
        }
    ]
)


async def place():
    await bitget.create_order("BTC/USDT", "limit", "buy", 0.001, 25000.5, {"clientOrderId": "t1"})


if __name__ == "__main__":
    serve(place, bitget.close)
