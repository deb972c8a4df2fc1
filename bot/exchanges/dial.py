"""Reaching a server, over whichever of its addresses answers first."""

from __future__ import annotations

import asyncio
import socket

from aiohappyeyeballs import start_connection

_NEXT_ADDRESS_SECONDS = 0.25


async def dial(host: str, port: int, local_address: str | None) -> socket.socket:
    """Return a connection to a server: IPv6 and IPv4 are tried in turn, the next while the last has not answered.

    asyncio can do so itself, but loses an open socket where it is cancelled in between.

    Args:
        host: A name or an address.
        port: Its port.
        local_address: Source address, or `None` for the system's choice.

    Raises:
        OSError: The name is not known, there is no route, or nobody listens.
    """
    loop = asyncio.get_running_loop()
    there = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    here = await loop.getaddrinfo(local_address, 0, type=socket.SOCK_STREAM) if local_address else None
    return await start_connection(there, local_addr_infos=here, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS)
