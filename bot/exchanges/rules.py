"""What the requests of a plugin must keep to; whatever does not is never sent."""

from __future__ import annotations

import functools
import re

from bot.contract import manifest
from bot.contract.errors import PluginError
from bot.contract.models import ExchangeInfo
from bot.contract.wire import Request

_MOST_REQUESTS = 20
_LARGEST_BODY = 64 * 1024
_KNOWN_PATHS = 1024


class Rules:
    """Those of one plugin, by what it declared.

    Args:
        info: The plugin's constants.
    """

    def __init__(self, info: ExchangeInfo) -> None:
        self._info = info
        self._paths = re.compile("|".join(re.escape(path).replace(r"\*", r"[^/?#\s]+") for path in info.paths))
        self._is_listed = functools.lru_cache(_KNOWN_PATHS)(self._may_ask)

    def check(self, request: Request, *, sent: int, has_account: bool, may_place: bool) -> None:
        """Refuse a request that a flow yielded.

        Args:
            request: As it was yielded.
            sent: How many the flow has yielded, this one included.
            has_account: Whether the flow is of an account, with keys to sign with.
            may_place: Whether the flow was called to place an order, and has not yet.

        Raises:
            PluginError: The text names the plugin and what it did.
        """
        title = self._info.title
        if sent > _MOST_REQUESTS:
            raise PluginError(f"The {title} plugin asked for more than {_MOST_REQUESTS} requests in one call.")
        if not isinstance(request, Request):
            raise PluginError(f"The {title} plugin yielded something that is not a Request.")
        named = f"{request.method} {request.path}"
        if request.host not in self._info.hosts:
            raise PluginError(f"The {title} plugin named a host it did not declare: {request.host}.")
        if not self._is_listed(named):
            raise PluginError(f"The {title} plugin asked for {named}, which is not on its list of paths.")
        self.check_headers(request)
        if not request.costs.keys() <= self._info.limits.keys():
            raise PluginError(f"The {title} plugin named a limit it did not declare, for {named}.")
        if request.auth != "none" and not has_account:
            raise PluginError(f"The {title} plugin asked for a signature in a call that has no account.")
        if request.places and not may_place:
            raise PluginError(f"The {title} plugin tried to place an order where it may not: {named}.")

    def check_size(self, request: Request) -> None:
        """Refuse a body that no exchange takes. Raises `PluginError`."""
        if len(request.body) > _LARGEST_BODY:
            raise PluginError(f"The {self._info.title} plugin made a body above {_LARGEST_BODY} bytes.")

    def check_headers(self, request: Request) -> None:
        """Refuse headers that are the bot's to set. Raises `PluginError`."""
        if request.headers and (name := manifest.header_of_the_core(tuple(request.headers))):
            raise PluginError(f"The {self._info.title} plugin set the header {name}, which is the bot's to set.")

    def _may_ask(self, named: str) -> bool:
        return bool(self._paths.fullmatch(named)) and not manifest.moves_money(named.partition(" ")[2])
