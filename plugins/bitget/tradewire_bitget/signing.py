"""How Bitget's v2 and v3 requests are signed: https://www.bitget.com/api-doc/common/signature (read 2025-12)."""

from __future__ import annotations

from binascii import b2a_base64

from bot import Credentials, Request, Secret, hookimpl

LOGIN_PATH = "/user/verify"
"""Not an address: what the login of a socket is signed for."""


def signature(secret: Secret, text: bytes) -> str:
    """Return the base64 HMAC-SHA256 of `text`; the secret is used as text."""
    return b2a_base64(secret.hmac("sha256", text), newline=False).decode()


def prehash(request: Request, timestamp: int) -> bytes:
    """Return the text that is signed: time, method, path with query, body, with nothing in between."""
    # The query counts as it reads before percent-encoding; clients in wide use sign it so. The order is the sent one.
    query = f"?{'&'.join([f'{name}={value}' for name, value in request.query])}" if request.query else ""
    return f"{timestamp}{request.method}{request.path}{query}".encode() + request.body


@hookimpl
def sign(request: Request, credentials: Credentials, timestamp: int) -> Request:
    if request.path == LOGIN_PATH:
        return _login(request, credentials, timestamp // 1000)
    return request.with_headers(
        {
            "ACCESS-KEY": credentials.key.reveal(),
            "ACCESS-SIGN": signature(credentials.secret, prehash(request, timestamp)),
            "ACCESS-TIMESTAMP": str(timestamp),
            "ACCESS-PASSPHRASE": credentials.passphrase.reveal(),
            "Content-Type": "application/json",
            "locale": "en-US",
        }
    )


def _login(request: Request, credentials: Credentials, seconds: int) -> Request:
    # The documentation says milliseconds; its code, its example and the clients in use say seconds.
    fields = {
        "apiKey": credentials.key.reveal(),
        "passphrase": credentials.passphrase.reveal(),
        "timestamp": str(seconds),
        "sign": signature(credentials.secret, prehash(request, seconds)),
    }
    return request.with_json({"op": "login", "args": [fields]})
