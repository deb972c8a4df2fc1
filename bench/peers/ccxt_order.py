"""ccxt's asynchronous Bitget client, its rate limiter off. Runs with an interpreter that has ccxt."""

import sys
from pathlib import Path

import ccxt.async_support as ccxt  # type: ignore[import-not-found]

sys.path.insert(0, str(Path(__file__).parents[2]))
from bench.clients import serve

MARKET = {
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


def made(origin, shares=None):
    """Return a client with one market, or with the markets of the client that it shares them with."""
    client = bare(origin)
    client.options["uta"] = False
    if shares is None:
        client.set_markets([MARKET])
    else:
        client.set_markets_from_exchange(shares)
    return client


def bare(origin):
    """Return a client that knows nothing yet of its exchange."""
    client = ccxt.bitget({"apiKey": "key", "secret": "secret", "password": "passphrase", "enableRateLimit": False})
    client.urls["api"] = dict.fromkeys(client.urls["api"], origin)
    return client


async def place_with(client):
    """Place the order that all clients place."""
    await client.create_order("BTC/USDT", "limit", "buy", 0.001, 25000.5, {"clientOrderId": "t1"})


if __name__ == "__main__":
    bitget = made(sys.argv[1])
    serve(lambda: place_with(bitget), bitget.close)
