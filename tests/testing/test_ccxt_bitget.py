"""The strict Bitget against a client that works with the real one. Needs an interpreter that has ccxt 4.5.90."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from decimal import Decimal
from typing import Any

import pytest

from bot.testing.bitget import Mode, StrictBitget
from bot.testing.strict import StrictServer

PYTHON = os.environ.get("TRADEWIRE_CCXT_PYTHON", "")
pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(not PYTHON, reason="TRADEWIRE_CCXT_PYTHON does not name an interpreter that has ccxt"),
]

CLIENT = """
import json, sys
import ccxt

url, mode = sys.argv[1:]
bitget = ccxt.bitget({
    "apiKey": "bg_key", "secret": "secret", "password": "passphrase",
    "options": {"fetchMarkets": {"types": ["spot"]}, "defaultType": "spot"},
})
bitget.options["createOrder"]["createMarketBuyOrderRequiresPrice"] = False
bitget.has["fetchCurrencies"] = False
bitget.urls["api"] = {name: url for name in bitget.urls["api"]}
bitget.publicMarginGetV2MarginCurrencies = lambda params: {"data": []}  # not a part of the imitation
instruments = bitget.publicUtaGetV3MarketInstruments
no_futures = {"data": []}
bitget.publicUtaGetV3MarketInstruments = lambda query: instruments(query) if "SPOT" in query.values() else no_futures
seen = {}

def refused(call, *arguments):
    try:
        call(*arguments)
    except ccxt.BaseError as error:
        return type(error).__name__
    return "accepted"

bitget.load_markets()
market = bitget.market("BTC/USDT")
seen["market"] = [market["precision"]["price"], market["precision"]["amount"], market["limits"]["cost"]["min"]]
ticker = bitget.fetch_ticker("BTC/USDT")
seen["ticker"] = [ticker["bid"], ticker["ask"], ticker["last"]]
seen["book"] = bitget.fetch_order_book("BTC/USDT", 5)["bids"]
seen["time"] = bitget.fetch_time()
resting = bitget.create_order("BTC/USDT", "limit", "buy", 0.001, 50000, {"clientOrderId": "bot-1"})
bought = bitget.create_order("BTC/USDT", "market", "buy", 60)
sold = bitget.create_order("BTC/USDT", "market", "sell", 0.0005)
balance = bitget.fetch_balance()
seen["balance"] = {coin: [balance[coin]["free"], balance[coin]["used"]] for coin in ("BTC", "USDT")}
[row] = bitget.fetch_open_orders("BTC/USDT")
seen["open"] = [row["clientOrderId"], row["status"], row["price"], row["amount"], row["filled"], row["side"]]
row = bitget.fetch_order(bought["id"], "BTC/USDT")
seen["bought"] = [row["status"], row["average"], row["filled"], row["cost"], row["fee"]["cost"], row["fee"]["currency"]]
[row] = bitget.fetch_my_trades("BTC/USDT", params={"orderId": sold["id"]})
seen["sold"] = [row["side"], row["takerOrMaker"], row["price"], row["amount"], row["cost"], row["fee"]]
bitget.cancel_order(resting["id"], "BTC/USDT")
seen["canceled"] = bitget.fetch_order(resting["id"], "BTC/USDT")["status"]
closed = bitget.fetch_canceled_and_closed_orders("BTC/USDT")
seen["closed"] = sorted(row["status"] for row in closed)
if mode == "classic":
    stop = bitget.create_order("BTC/USDT", "market", "sell", 0.0005, None, {"triggerPrice": "55000"})
    [row] = bitget.fetch_open_orders("BTC/USDT", params={"trigger": True})
    seen["stop"] = [row["id"] == stop["id"], row["status"], row["triggerPrice"], row["amount"]]
    bitget.cancel_order(stop["id"], "BTC/USDT", {"trigger": True})
    seen["stops"] = bitget.fetch_open_orders("BTC/USDT", params={"trigger": True})
seen["poor"] = refused(bitget.create_order, "BTC/USDT", "limit", "buy", 1, 50000)
seen["gone"] = refused(bitget.cancel_order, "1", "BTC/USDT")
bitget.secret = "wrong"
seen["forged"] = refused(bitget.fetch_balance)
print(json.dumps(seen))
"""


async def run_client(mode: Mode) -> tuple[dict[str, Any], StrictBitget]:
    exchange = StrictBitget(mode=mode)
    exchange.add_account("bg_key", "secret", "passphrase", balances={"USDT": "1000"})
    async with StrictServer(exchange) as server:
        client = await asyncio.create_subprocess_exec(
            PYTHON, "-c", CLIENT, server.url, mode, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        output, errors = await client.communicate()
    assert client.returncode == 0, errors.decode()[-2000:]
    seen: dict[str, Any] = json.loads(output, parse_float=Decimal)
    return seen, exchange


D = Decimal
SEEN = {
    "market": [D("0.01"), D("0.000001"), 1],
    "ticker": [60000, D("60000.1"), 60000],
    "book": [[60000, 1000000]],
    "balance": {"BTC": [D("0.000498001"), 0], "USDT": [D("920.0299001"), 50]},
    "open": ["bot-1", "open", 50000, D("0.001"), 0, "buy"],
    "canceled": "canceled",
    "closed": ["canceled", "closed", "closed"],
    "forged": "AuthenticationError",
}


async def test_ccxt_classic_trades_and_reads_everything() -> None:
    """An independent client signs, trades, cancels and understands every reply of the classic API."""
    seen, exchange = await run_client("classic")
    assert seen == SEEN | {
        "time": seen["time"],
        "bought": ["closed", D("60000.1"), D("0.000999"), D("59.9400999"), D("0.000000999"), "BTC"],
        "sold": ["sell", "taker", 60000, D("0.0005"), 30, {"currency": "USDT", "cost": D("0.03")}],
        "stop": [True, "open", 55000, D("0.0005")],
        "stops": [],
        "poor": "InsufficientFunds",
        "gone": "OrderNotFound",
    }
    assert len(exchange.orders()) == 3


async def test_ccxt_unified_trades_and_reads_everything() -> None:
    """The same client finds out that the account is unified, and trades.

    ccxt 4.5.90 takes v3 fees for negative numbers, does not read `avgPrice`, and does not know the codes 252xx.
    """
    seen, exchange = await run_client("unified")
    assert seen == SEEN | {
        "time": seen["time"],
        "bought": ["closed", None, D("0.000999"), None, D("-0.000000999"), None],
        "sold": ["sell", "taker", 60000, D("0.0005"), 30, {"currency": "USDT", "cost": D("-0.03")}],
        "poor": "ExchangeError",
        "gone": "ExchangeError",
    }
    assert len(exchange.orders()) == 3
