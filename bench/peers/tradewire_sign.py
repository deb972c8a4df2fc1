"""The plugins' `sign` of an order: parameters in, URL, headers and body out, as ccxt's."""

import time

from tradewire_bitget import signing as bitget
from tradewire_bitopro import signing as bitopro
from tradewire_bitrue import signing as bitrue

from bench.peers.loop import serve
from bot import TIMESTAMP, Credentials, Request, Secret

KEYS = Credentials(Secret("key-0123456789"), Secret("secret-0123456789"), Secret("passphrase"), Secret("a@b.example"))
BITGET = {"symbol": "BTCUSDT", "side": "buy", "orderType": "limit", "force": "gtc", "price": "25000.5", "size": "0.001"}
BITOPRO = {"action": "BUY", "amount": "0.001", "type": "LIMIT", "price": "25000.5", "pair": "btc_usdt", "clientId": 1}
BITRUE = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "0.001", "price": "25000.5"}


def sign_bitget():
    now = time.time_ns() // 1_000_000
    request = Request(method="POST", path="/api/v2/spot/trade/place-order", json=BITGET)
    signed = bitget.sign(request.stamped(now), KEYS, now)
    return "https://api.bitget.com" + signed.target, signed.headers, signed.body


def sign_bitopro():
    now = time.time_ns() // 1_000_000
    request = Request(method="POST", path="/v3/orders/btc_usdt", json={**BITOPRO, "timestamp": TIMESTAMP})
    signed = bitopro.sign(request.stamped(now), KEYS, now)
    return "https://api.bitopro.com" + signed.target, signed.headers, signed.body


def sign_bitrue():
    now = time.time_ns() // 1_000_000
    query = (*BITRUE.items(), ("recvWindow", "5000"), ("timestamp", TIMESTAMP))
    request = Request(method="POST", path="/api/v1/order", query=query)
    signed = bitrue.sign(request.stamped(now), KEYS, now)
    return "https://openapi.bitrue.com" + signed.target, signed.headers, signed.body


assert "ACCESS-SIGN" in sign_bitget()[1]
assert "X-BITOPRO-SIGNATURE" in sign_bitopro()[1]
assert "&signature=" in sign_bitrue()[0]
serve({"Bitget": sign_bitget, "BitoPro": sign_bitopro, "Bitrue": sign_bitrue})
