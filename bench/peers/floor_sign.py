"""The least that a signature takes with Python's own HMAC and no kept key: JSON or a query, HMAC, base64 or hex."""

import hmac
import time
from binascii import b2a_base64

import msgspec

from bench.peers.loop import serve

KEY = b"secret-0123456789"
BITGET = {"symbol": "BTCUSDT", "side": "buy", "orderType": "limit", "force": "gtc", "price": "25000.5", "size": "0.001"}
BITOPRO = {"action": "BUY", "amount": "0.001", "type": "LIMIT", "price": "25000.5", "pair": "btc_usdt", "clientId": 1}
BITRUE = b"symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=0.001&price=25000.5&recvWindow=5000&timestamp=%d"
encode = msgspec.json.Encoder().encode


def sign_bitget():
    text = b"%dPOST/api/v2/spot/trade/place-order%b" % (time.time_ns() // 1_000_000, encode(BITGET))
    return b2a_base64(hmac.digest(KEY, text, "sha256"), newline=False)


def sign_bitopro():
    text = b2a_base64(encode({**BITOPRO, "timestamp": time.time_ns() // 1_000_000}), newline=False)
    return hmac.digest(KEY, text, "sha384").hex()


def sign_bitrue():
    return hmac.digest(KEY, BITRUE % (time.time_ns() // 1_000_000), "sha256").hex()


serve({"Bitget": sign_bitget, "BitoPro": sign_bitopro, "Bitrue": sign_bitrue})
