"""The heartbeat: a URL called once a minute while all is well, so that a monitor elsewhere notices when it is not.

The URL is a secret: whoever has it can keep the monitor calm. It is called without redirects, which would tell it to
another host, and shows in no log.
"""

from __future__ import annotations

import logging
from importlib import metadata

import httpx

from bot.chat.health import Health
from bot.clock import Clock

log = logging.getLogger(__name__)
EVERY_SECONDS = 60
_TIMEOUT_SECONDS = 10


async def beat(url: str, health: Health, clock: Clock, transport: httpx.AsyncBaseTransport | None = None) -> None:
    """Call `url` every minute while the bot is well, until cancelled. A failure is logged once until it works again.

    Args:
        url: Of the monitor.
        health: Tells whether to call.
        clock: Ours.
        transport: Replaces the network in tests.
    """
    headers = {"user-agent": f"tradewire/{metadata.version('tradewire')}"}
    client = httpx.AsyncClient(
        follow_redirects=False, headers=headers, timeout=_TIMEOUT_SECONDS, transport=transport, trust_env=False
    )
    trouble = ""
    async with client:
        while True:
            if not (await health.report()).problems:
                before, trouble = trouble, await _call(client, url)
                if trouble and trouble != before:
                    log.warning("[heartbeat] url: %s; the monitor may report that the bot is away", trouble)
            await clock.sleep(EVERY_SECONDS)


async def _call(client: httpx.AsyncClient, url: str) -> str:
    """Return what went wrong, without the URL, or nothing."""
    try:
        async with client.stream("GET", url) as reply:  # the body is of no interest, however long it is
            return "" if reply.is_success else f"the monitor answered with HTTP status {reply.status_code}"
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return f"the monitor cannot be reached ({type(error).__name__})"
