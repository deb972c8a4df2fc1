"""Who may send to a hook at all, before its token is looked at. Pure.

A header counts only when the connection comes from a proxy that the configuration names: anybody else can write it too.

TradingView presents a client certificate, subject `CN=TradingView Webhooks`, and sends from four published addresses.
Source: https://www.tradingview.com/support/solutions/43000680459/ on the certificate and
https://www.tradingview.com/support/solutions/43000529348/ on the addresses (stored copies, read 2026-11-21).
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Sequence
from typing import TypeAlias

from bot.config import HookSettings

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
FORWARDED = "x-forwarded-for"


def may_send(settings: HookSettings, peer: str, headers: Sequence[tuple[str, str]]) -> bool:
    """Say whether a request may come to a hook.

    Args:
        settings: What the configuration asks for.
        peer: The address that opened the connection.
        headers: Of the request, names in lower case.
    """
    at = _address(peer)
    if at is None:
        return False
    is_proxied = _within(at, settings.proxies)
    if settings.certificate_header is not None:
        given = [value for name, value in headers if name == settings.certificate_header.lower()]
        if not is_proxied or len(given) != 1 or not _same(given[0], settings.certificate):
            return False
    if not settings.addresses:
        return True
    sender = _sender(settings, headers) if is_proxied else at
    return sender is not None and _within(sender, settings.addresses)


def _sender(settings: HookSettings, headers: Sequence[tuple[str, str]]) -> Address | None:
    """Return whom the proxies say they speak for: the last address of the list that is no proxy itself."""
    listed = ",".join(value for name, value in headers if name == FORWARDED).split(",")
    for each in reversed(listed):
        found = _address(each.strip())
        if found is None or not _within(found, settings.proxies):
            return found
    return None


def _address(text: str) -> Address | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _within(address: Address, networks: Sequence[str]) -> bool:
    return any(address in ipaddress.ip_network(each) for each in networks)


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), wanted.encode())
