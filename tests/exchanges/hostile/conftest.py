"""What the tests of hostile plugins share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bot import Flow, Request
from bot.contract.errors import PluginError
from bot.exchanges import registry
from bot.exchanges.registry import Plugin
from tests.exchanges.acme import reply, rig

Check = Callable[[Path], Awaitable[None]]


def proof(proofs: dict[str, Check], behaviour: str) -> Callable[[Check], Check]:
    """Register in `proofs` what shows that `behaviour` is contained."""

    def register(check: Check) -> Check:
        proofs[behaviour] = check
        return check

    return register


def told(*plugins: Any) -> dict[str, str]:
    """What the catalog has against plugins called p0, p1 and so on."""
    return dict(registry.catalog(Plugin(f"p{number}", each) for number, each in enumerate(plugins)).broken)


async def refuses(request: Request, words: str, plugin: Any = None) -> None:
    """Nothing is sent for a read that yields `request`."""
    on = rig(reply(), plugin=plugin)
    with pytest.raises(PluginError, match=words):
        await on.read(asks(request))
    assert on.wire.sent == []


def asks(*requests: Request) -> Flow[None]:
    for request in requests:  # noqa: UP028  # a tuple takes no answers
        yield request
