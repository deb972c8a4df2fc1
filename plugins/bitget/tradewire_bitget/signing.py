"""How Bitget's v2 and v3 requests are signed: https://www.bitget.com/api-doc/common/signature (read 2025-12)."""

from __future__ import annotations

from binascii import b2a_base64

from bot import Credentials, Request, Secret, hookimpl

LOGIN_PATH = "/user/verify"
"""Not an address: what the login of a socket is signed for."""


def signature(secret: Secret, request: Request, time: str) -> str:
    """Return the base64 HMAC-SHA256 of time, method, path with query, body, with nothing in between.

    The secret is used as text.
    """
    # The query counts as it reads before percent-encoding; clients in wide use sign it so. The order is the sent one.
    query = f"?{'&'.join([f'{name}={value}' for name, value in request.query])}" if request.query else ""
    text = f"{time}{request.method}{request.path}{query}".encode() + request.body
    return b2a_base64(secret.hmac("sha256", text), newline=False).decode()


@hookimpl
def sign(request: Request, credentials: Credentials, timestamp: int) -> Request:
    if request.path == LOGIN_PATH:
        return _login(request, credentials, str(timestamp // 1000))
    time = str(timestamp)
    return request.with_headers(
        {
            "ACCESS-KEY": credentials.key.reveal(),
            "ACCESS-SIGN": signature(credentials.secret, request, time),
            "ACCESS-TIMESTAMP": time,
            "ACCESS-PASSPHRASE": credentials.passphrase.reveal(),
            "Content-Type": "application/json",
            "locale": "en-US",
        }
    )


def _login(request: Request, credentials: Credentials, seconds: str) -> Request:
    # The documentation says milliseconds; its code, its example and the clients in use say seconds.
    fields = {
        "apiKey": credentials.key.reveal(),
        "passphrase": credentials.passphrase.reveal(),
        "timestamp": seconds,
        "sign": signature(credentials.secret, request, seconds),
    }
    return request.with_json({"op": "login", "args": [fields]})
