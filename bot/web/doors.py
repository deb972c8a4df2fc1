"""What the listener serves: the routes of every room that is switched on, gathered in one place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.routing import BaseRoute

from bot.chat.registry import Services
from bot.chat.webhook import Accept
from bot.signals.web import routes as hook_routes
from bot.web import telegram
from bot.web.listener import Listener


def routes(services: Services, accept: Accept) -> list[BaseRoute]:
    """Return the routes that the configuration asks for; none, when it asks for none.

    Args:
        services: The parts of the running bot.
        accept: Takes one update from Telegram in.
    """
    settings = services.settings
    found: list[BaseRoute] = []
    if settings.telegram.mode == "webhook":
        found += telegram.routes(settings.telegram.webhook_secret, settings.telegram.webhook_path, accept)
    if settings.hooks.enabled:
        found += hook_routes(settings.hooks, services.store, services.clock, services.hook_taken)
    return found


@asynccontextmanager
async def opened(services: Services, accept: Accept) -> AsyncIterator[None]:
    """Listen while the context is open, if there is anything to serve.

    Raises:
        ConfigError: The address of `[web]` cannot be listened on.
    """
    found = routes(services, accept)
    if not found:
        yield
        return
    web = services.settings.web
    async with Listener(found, host=web.host, port=web.port):
        yield
