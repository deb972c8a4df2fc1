"""Asking a plugin itself: the same answer as pluggy's, and nobody who stands between is passed over."""

from __future__ import annotations

from typing import Any

import pytest

from bot import Account, Credentials, Request, hookimpl
from bot.exchanges import registry
from bot.exchanges.hooks import direct
from bot.exchanges.registry import Plugin
from tests.exchanges.acme import ACCOUNT, BALANCES, ORDER, Acme, reply

KEYS = Credentials()


def hooks(plugin: Any, *guards: Any) -> Any:
    around = [Plugin(f"guard{number}", guard) for number, guard in enumerate(guards)]
    return registry.register(Plugin("acme", plugin), around).hook


class Watched(Acme):
    """Says how it was asked."""

    @hookimpl
    def sign(self, timestamp: int, request: Request) -> Any:
        return (timestamp, request)

    @hookimpl
    def balances(self, account: Account, /) -> Any:
        return account

    @hookimpl
    def map_error(self, response: Any, request: Any, more: int = 5) -> Any:
        return (response, request, more)

    @hookimpl
    def configure(self, settings: Any) -> Any:
        return settings


class Guard:
    """Adds a word to every answer."""

    @hookimpl(wrapper=True)
    def map_error(self) -> Any:
        return [(yield), "guarded"]

    @hookimpl(wrapper=True)
    def order_book(self) -> Any:
        """Stands around nothing: the plugin has no such hook."""
        return [(yield), "guarded"]


ASKED: list[tuple[str, dict[str, Any]]] = [
    ("sign", {"request": BALANCES, "credentials": KEYS, "timestamp": 7}),
    ("balances", {"account": ACCOUNT}),
    ("map_error", {"request": BALANCES, "response": reply()}),
    ("order_book", {"market": None}),
    ("configure", {"settings": {}}),
]


@pytest.mark.parametrize(("name", "arguments"), ASKED, ids=[name for name, _ in ASKED])
@pytest.mark.parametrize("guards", [(), (Guard(),)], ids=["alone", "guarded"])
def test_direct_answers_as_the_hook_does(name: str, arguments: dict[str, Any], guards: tuple[Any, ...]) -> None:
    """In any order of parameters, some left out, by position alone, guarded, missing, or of many owners."""
    hook = getattr(hooks(Watched(), *guards), name)
    assert direct(hook)(**arguments) == hook(**arguments)


@pytest.mark.parametrize(("guards", "is_direct"), [((), True), ((Guard(),), False)])
def test_direct_passes_over_pluggy_only_where_no_guard_stands(guards: tuple[Any, ...], is_direct: bool) -> None:
    """A guarded hook goes the whole way: the guard has its say."""
    plugin = Acme()
    relay = hooks(plugin, *guards)
    found = direct(relay.map_error)
    assert (found == plugin.map_error, found is relay.map_error) == (is_direct, not is_direct)
    assert direct(relay.sign) == plugin.sign


def test_direct_of_what_is_no_hook_is_itself() -> None:
    """A plugin driven without a manager, as in tests, is asked as it is."""
    plugin = Acme()
    assert direct(plugin.place_order) == plugin.place_order
    assert next(direct(plugin.place_order)(order=ORDER)).places
