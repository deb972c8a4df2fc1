"""The address that requests leave from, for the list of addresses that an exchange binds a key to."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from bot.config import ExchangeSettings

# Addresses for documentation (RFC 5737, RFC 3849) at the discard port: routed like any other, and never sent to.
_ELSEWHERE = ((socket.AF_INET, ("192.0.2.1", 9)), (socket.AF_INET6, ("2001:db8::1", 9)))


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where requests come from.

    Attributes:
        lines: For people, a sentence or two each.
        public: The addresses that exchanges see as they are.
    """

    lines: tuple[str, ...]
    public: tuple[str, ...]


def outgoing_address() -> str | None:
    """Return the address of this machine that leads out, or `None` when there is no route. Sends nothing."""
    for family, elsewhere in _ELSEWHERE:
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(elsewhere)  # for UDP this only chooses the route
            return str(probe.getsockname()[0])
    return None


def is_private(address: str) -> bool:
    """Say whether `address` is known inside a network only, so that others see another one."""
    with suppress(ValueError):
        return not ipaddress.ip_address(address).is_global
    return False


def addresses(exchanges: Mapping[str, ExchangeSettings]) -> Addresses:
    """Return where this server sends from, and each of `exchanges`, by name, where that differs."""
    usual = outgoing_address()
    lines = ["This server has no way to the internet." if usual is None else f"This server sends from {usual}."]
    found = [] if usual is None else [usual]
    for name, section in sorted(exchanges.items()):
        if section.proxy:
            lines.append(f"{name}: through a proxy. Enter the proxy's address there.")
        elif section.local_address:
            lines.append(f"{name}: from {section.local_address}.")
            found.append(section.local_address)
    distinct = list(dict.fromkeys(found))
    private = [address for address in distinct if is_private(address)]
    if private:
        are = f"{private[0]} is a private address" if len(private) == 1 else f"{', '.join(private)} are private"
        lines.append(
            f"{are}: an exchange sees the public address of your router or provider instead. Read that one in the"
            " provider's panel or on the router's status page, and enter it at the exchange."
        )
    return Addresses(tuple(lines), tuple(address for address in distinct if address not in private))
