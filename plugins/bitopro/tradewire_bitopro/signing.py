"""How BitoPro's requests are signed: https://github.com/bitoex/bitopro-offical-api-docs (read 2025-12).

Only a base64 text in a header is signed, neither path nor query. For a POST the text is the body itself; for all else,
the opening of a private stream included, it tells who asks and when.
"""

from __future__ import annotations

import json
from binascii import b2a_base64

from bot import Credentials, Request, Secret, hookimpl


def identity(email: str, timestamp: int) -> bytes:
    """Return the text of a request without a body.

    `>`, `?` and `~` are the only ASCII characters whose base64 can differ between the standard and the URL-safe
    alphabet, and BitoPro's own clients disagree on the alphabet: written as escapes, both give the same.
    """
    text = json.dumps({"identity": email, "nonce": timestamp}, separators=(",", ":"))
    for character in ">?~":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()


def signature(secret: Secret, payload: bytes) -> str:
    """Return the lower-case hex HMAC-SHA384 of `payload`; the secret is used as text."""
    return secret.hmac("sha384", payload).hex()


@hookimpl
def sign(request: Request, credentials: Credentials, timestamp: int) -> Request:
    body = request.body
    payload = b2a_base64(body or identity(credentials.email.reveal(), timestamp), newline=False)
    headers = {
        "X-BITOPRO-APIKEY": credentials.key.reveal(),
        "X-BITOPRO-PAYLOAD": payload.decode(),
        "X-BITOPRO-SIGNATURE": signature(credentials.secret, payload),
    }
    if body:
        headers["Content-Type"] = "application/json"
    return request.with_headers(headers)
