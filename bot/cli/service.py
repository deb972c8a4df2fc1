"""What a service manager is told: systemd's sd_notify, by a datagram. Without systemd, nothing happens.

Source: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html (read 2026-11-21).
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping

from bot.chat.health import Health
from bot.clock import Clock

log = logging.getLogger(__name__)


def notify(state: str, environ: Mapping[str, str] = os.environ) -> None:
    """Tell the service manager `state`, such as `READY=1`."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as datagrams:
            datagrams.connect("\0" + address[1:] if address.startswith("@") else address)
            datagrams.send(state.encode())
    except OSError as error:
        log.warning("the service manager could not be told %s (%s)", state, error.strerror)


def watchdog_seconds(environ: Mapping[str, str] = os.environ) -> int:
    """Return how often the watchdog wants a sign of life: three in its time. 0 where none watches this process."""
    microseconds, process = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or (process and process != str(os.getpid())):
        return 0
    return max(1, int(microseconds) // 3_000_000)


async def feed_watchdog(
    health: Health, clock: Clock, every_seconds: int, environ: Mapping[str, str] = os.environ
) -> None:
    """Tell the watchdog that the bot is alive, while it is, until cancelled. Silence makes systemd start it anew."""
    was_alive = True
    while True:
        is_alive = await health.is_alive()
        if is_alive:
            notify("WATCHDOG=1", environ)
        elif was_alive:
            log.critical("polling or the database hangs; the watchdog is told nothing and will restart the bot")
        was_alive = is_alive
        await clock.sleep(every_seconds)
