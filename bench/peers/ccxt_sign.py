"""ccxt's `sign()` of an order: parameters in, URL, headers and body out."""

import sys
from pathlib import Path

import ccxt  # type: ignore[import-not-found]

sys.path.insert(0, str(Path(__file__).parents[2]))
from bench.peers.loop import serve

KEYS = {"apiKey": "key-0123456789", "secret": "secret-0123456789", "password": "passphrase", "login": "a@b.example"}
bitget, bitopro, bitrue = ccxt.bitget(KEYS), ccxt.bitopro(KEYS), ccxt.bitrue(KEYS)
BITGET = {"symbol": "BTCUSDT", "side": "buy", "orderType": "limit", "force": "gtc", "price": "25000.5", "size": "0.001"}
BITOPRO = {"action": "BUY", "amount": "0.001", "type": "LIMIT", "price": "25000.5", "pair": "btc_usdt", "clientId": 1}
BITRUE = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "0.001", "price": "25000.5"}


def sign_bitget():
    return bitget.sign("v2/spot/trade/place-order", ["private", "spot"], "POST", dict(BITGET))


def sign_bitopro():
    # `create_order` puts the time among the parameters.
    return bitopro.sign("orders/{pair}", ["private"], "POST", {**BITOPRO, "timestamp": bitopro.milliseconds()})


def sign_bitrue():
    return bitrue.sign("order", ["spot", "v1", "private"], "POST", dict(BITRUE))


assert "ACCESS-SIGN" in sign_bitget()["headers"]
assert "X-BITOPRO-SIGNATURE" in sign_bitopro()["headers"]
assert "&signature=" in sign_bitrue()["body"]
serve({"Bitget": sign_bitget, "BitoPro": sign_bitopro, "Bitrue": sign_bitrue})
