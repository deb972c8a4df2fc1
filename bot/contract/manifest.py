"""What a plugin's constants may say. The core refuses a plugin that says more; the contract's tests name the remedy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from functools import lru_cache
from urllib.parse import unquote

from bot.contract.models import ExchangeInfo
from bot.contract.wire import Credentials

_MOVES_MONEY = re.compile("withdraw|transfer|address", re.IGNORECASE)
_ORIGIN = re.compile(r"(https|wss)://([a-z0-9-]+\.)+[a-z][a-z0-9-]*(:\d+)?", re.IGNORECASE)
_NAMED = re.compile(r"(GET|POST|PUT|DELETE) /[^?#\s]*")
_OURS = {"host", "content-length", "transfer-encoding", "connection", "upgrade", "expect", "te", "trailer"}


def objections(info: ExchangeInfo) -> Iterator[tuple[str, str]]:
    """Yield what the core does not let a plugin declare, each with the remedy.

    A host is a name with a certificate, never an address of the operator's own network. No path may move money away.
    """
    for name, origin in info.hosts.items():
        if not _ORIGIN.fullmatch(origin):
            yield f"has the host {name!r}: {origin}", "Write https:// or wss:// and a domain name, without a path."
    for path in info.paths:
        if not _NAMED.fullmatch(path):
            yield f"lists {path!r}", "Write the method in upper case, a space, and the path without a query."
        if moves_money(path):
            yield f"lists {path!r}, which could move money away", "Remove it; a bot trades and no more."
    known = {each.name for each in fields(Credentials)}
    asked = info.credential_fields
    if not ({*asked} <= known and "secret" in asked and len({*asked}) == len(asked)):
        yield f"asks for {asked}", "Name secret, and others of key, passphrase and email, once each."


def moves_money(path: str) -> bool:
    """Say whether a path names a withdrawal, a transfer or an address, or could once a server has decoded it."""
    plain = unquote(unquote(path))
    return bool(_MOVES_MONEY.search(plain)) or not {".", ".."}.isdisjoint(re.split(r"[/\\]", plain))


@lru_cache(maxsize=256)
def header_of_the_core(names: tuple[str, ...]) -> str:
    """Return the first header that decides where a request goes or where it ends: those are not a plugin's; or ""."""
    return next((name for name in names if name.strip().lower() in _OURS), "")
