"""How BTCC's requests are signed: its "Spot Trading API" (April 2025), section "Signature"."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from bot import Credentials, Request, hookimpl
from tradewire_btcc.payloads import ASSUMED, WS


def signature(values: Mapping[str, Any], secret: str) -> str:
    """Return the MD5 of all `name=value` pairs, the secret's among them, sorted and joined by `&`."""
    for name, value in values.items():
        # BTCC tears the joined text apart at `&` before sorting it; anything but text and integers has two spellings.
        if type(value) not in (str, int) or not str(value).isascii() or set(str(value)) & set("&="):
            raise ValueError(f"{name} holds what BTCC cannot verify: only ASCII text without & and =, and integers")
    pairs = sorted([*(f"{name}={value}" for name, value in values.items()), f"secret_key={secret}"])
    return hashlib.md5("&".join(pairs).encode(), usedforsecurity=False).hexdigest()


@hookimpl
def sign(request: Request, credentials: Credentials, timestamp: int) -> Request:
    """Return `request` with key, time and signature; `timestamp` is in seconds."""
    key, secret = credentials.key.reveal(), credentials.secret.reveal()
    if request.host == WS:
        # No time in it: whoever has this hash may log in until the key is deleted.
        return request.with_json({**request.json, "params": [key, hashlib.sha256(secret.encode()).hexdigest()]})
    stamp: dict[str, str | int] = {"access_id": key, "tm": timestamp}
    if request.method == "GET":
        request = request.with_query((*stamp.items(), *request.query))
        return request.with_headers({ASSUMED.auth_header: signature(dict(request.query), secret)})
    request = request.with_json({**stamp, **request.json})
    headers = {ASSUMED.auth_header: signature(request.json, secret), "content-type": "application/json"}
    return request.with_headers(headers)
