"""The plugins' `sign` of an order: parameters in, URL, headers and body out, as ccxt's."""

import time

import tradewire_bitget.signing
import tradewire_bitopro.signing
import tradewire_bitrue.signing

from bench.peers.loop import serve
from bot import TIMESTAMP, Credentials, Request, Secret

KEYS = Credentials(Secret("key-0123456789"), Secret("secret-0123456789"), Secret("passphrase"), Secret("a@b.example"))
BITGET = {"symbol": "BTCUSDT", "side": "buy", "orderType": "limit", "force": "gtc", "price": "25000.5", "size": "0.001"}
BITOPRO = {"action": "BUY", "amount": "0.001", "type": "LIMIT", "price": "25000.5", "pair": "btc_usdt", "clientId": 1}
BITRUE = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "0.001", "price": "25000.5"}


def signed(module, host, request):
    now = time.time_ns() // 1_000_000
    request = module.sign(request.stamped(now), KEYS, now)
    return {"url": host + request.target, "method": "POST", "headers": request.headers, "body": request.body}


def sign_bitget():
    request = Request.post("/api/v2/spot/trade/place-order", BITGET)
    return signed(tradewire_bitget.signing, "https://api.bitget.com", request)


def sign_bitopro():
    request = Request.post("/v3/orders/btc_usdt", {**BITOPRO, "timestamp": TIMESTAMP})
    return signed(tradewire_bitopro.signing, "https://api.bitopro.com", request)


def sign_bitrue():
    query = {**BITRUE, "recvWindow": "5000", "timestamp": TIMESTAMP}
    return signed(tradewire_bitrue.signing, "https://openapi.bitrue.com", Request.post("/api/v1/order", query=query))


assert "ACCESS-SIGN" in sign_bitget()["headers"]
assert "X-BITOPRO-SIGNATURE" in sign_bitopro()["headers"]
assert "&signature=" in sign_bitrue()["url"]
serve({"Bitget": sign_bitget, "BitoPro": sign_bitopro, "Bitrue": sign_bitrue})
