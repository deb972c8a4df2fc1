"""How Bitrue's spot requests are signed: https://github.com/Bitrue-exchange/Spot-official-api-docs (of 2023-07-14)."""

from __future__ import annotations

from bot import Credentials, Request, Secret, hookimpl


def signature(secret: Secret, text: bytes) -> str:
    """Return the hexadecimal HMAC-SHA256 of `text`."""
    return secret.hmac("sha256", text).hex()


@hookimpl
def sign(request: Request, credentials: Credentials, timestamp: int) -> Request:
    """Return `request` with the key, and where the exchange wants one with a signature at the end of the query.

    The time is in the query already. Nothing is sorted: the query is signed as it is sent.
    """
    request = request.with_headers({"X-MBX-APIKEY": credentials.key.reveal()})
    if request.auth == "key":
        return request
    # The exchange signs the query followed at once by the body, which here is always empty.
    text = request.query_text.encode() + request.body
    return request.with_more_query((("signature", signature(credentials.secret, text)),))
