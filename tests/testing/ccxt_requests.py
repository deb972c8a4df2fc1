"""Print what ccxt would send: one signed request for each exchange and operation, with its clock stopped.

Run by `test_ccxt_requests.py`, with an interpreter that has ccxt. Nothing is sent: what would be is caught and printed.
The one argument is JSON: `credentials`, `now_ms`, `order_id` and, for each exchange, what to trade.
"""

import json
import sys
from typing import Any

import ccxt  # type: ignore[import-not-found]


class Caught(BaseException):
    """The request that was about to leave. No `Exception`, so that nothing in between takes it for a failure."""


def client(name: str, told: dict[str, Any], wanted: dict[str, Any]) -> Any:
    """Return ccxt's client with one market, a stopped clock, and nothing behind `fetch`."""
    exchange = getattr(ccxt, wanted["class"])(told["credentials"])

    def fetch(url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        raise Caught({"method": method, "url": url, "headers": headers, "body": body or ""})

    exchange.fetch = fetch
    exchange.enableRateLimit = False
    exchange.milliseconds = lambda: told["now_ms"]
    exchange.set_markets(
        [
            {
                "id": wanted["market"],
                "symbol": wanted["symbol"],
                "base": wanted["symbol"].partition("/")[0],
                "quote": wanted["symbol"].partition("/")[2],
                "type": "spot",
                "spot": True,
                "swap": False,
                "future": False,
                "precision": {"amount": 0.000001, "price": 0.01},
                "info": {"orderTypes": ["LIMIT", "MARKET"]},
            }
        ]
    )
    if wanted["class"] == "bitget":
        exchange.options["uta"] = name == "bitget unified"
        exchange.options["createOrder"]["createMarketBuyOrderRequiresPrice"] = False
    return exchange


def requests(name: str, told: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Return what each operation would send."""
    exchange, symbol, ours = client(name, told, wanted), wanted["symbol"], wanted["params"]
    open_orders = (symbol,) if wanted["lists_by_pair"] else ()
    operations = {
        "limit buy": lambda: exchange.create_order(symbol, "limit", "buy", 0.001, 25000.5, ours),
        "limit sell": lambda: exchange.create_order(symbol, "limit", "sell", 0.001, 25000.5, ours),
        "market buy": lambda: exchange.create_order(symbol, "market", "buy", wanted["market_buy"], None, ours),
        "market sell": lambda: exchange.create_order(symbol, "market", "sell", 0.001, None, ours),
        "cancel": lambda: exchange.cancel_order(told["order_id"], symbol),
        "open orders": lambda: exchange.fetch_open_orders(*open_orders),
        "balances": exchange.fetch_balance,
        "order by id": lambda: exchange.fetch_order(told["order_id"], symbol),
    }
    found = {}
    for operation, run in operations.items():
        try:
            run()
        except Caught as caught:
            found[operation] = caught.args[0]
    return found


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    print(json.dumps({name: requests(name, told, wanted) for name, wanted in told["exchanges"].items()}))
