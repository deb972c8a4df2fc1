"""The plugins' `sign` of an order that was described just now: its body and query are encoded within the time."""

import time

import tradewire_bitget.signing
import tradewire_bitopro.signing
import tradewire_bitrue.signing

from bench.peers.loop import serve
from bot import TIMESTAMP, Credentials, Request, Secret

KEYS = Credentials(Secret("key-0123456789"), Secret("secret-0123456789"), Secret("passphrase"), Secret("a@b.example"))
BITGET = {"symbol": "BTCUSDT", "side": "buy", "orderType": "limit", "force": "gtc", "price": "25000.5", "size": "0.001"}
BITOPRO = {"action": "BUY", "amount": "0.001", "type": "LIMIT", "price": "25000.5", "clientId": 1}
BITRUE = (("symbol", "BTCUSDT"), ("side", "BUY"), ("type", "LIMIT"), ("quantity", "0.001"), ("price", "25000.5"))


def signer(module, request):
    """Return what stamps and signs a copy of `request` that nothing was kept of."""

    def sign():
        now = time.time_ns() // 1_000_000
        fresh = request.stamped(now)
        object.__setattr__(fresh, "_body", None)
        object.__setattr__(fresh, "_query_text", None)
        signed = module.sign(fresh, KEYS, now)
        return signed.target, signed.headers, signed.body

    return sign


serve(
    {
        "Bitget": signer(tradewire_bitget.signing, Request.post("/api/v2/spot/trade/place-order", BITGET)),
        "BitoPro": signer(
            tradewire_bitopro.signing, Request.post("/v3/orders/btc_usdt", {**BITOPRO, "timestamp": TIMESTAMP})
        ),
        "Bitrue": signer(
            tradewire_bitrue.signing, Request.post("/api/v1/order", query=(*BITRUE, ("timestamp", TIMESTAMP)))
        ),
    }
)
