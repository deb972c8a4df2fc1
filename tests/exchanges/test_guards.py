"""Guards: what they are told, which orders they stop, and that a bot which needs one does not run without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from tradewire_house_rules import HouseRules

from bot import OrderAck, Request, UserError, hookimpl
from bot.config import Plugins
from bot.exchanges import registry
from bot.exchanges.registry import Catalog, Plugin
from bot.exchanges.transport import Transport
from tests.exchanges.acme import ACCOUNT, ORDER, Acme, ListedWire, Rig, reply
from tests.fakes import FakeClock

MOST = {"most_per_order": {"USDT": "6000"}}  # ORDER is worth exactly that


def rules(settings: Mapping[str, Any] | None = None, required: tuple[str, ...] = ()) -> Catalog:
    """Acme, Other and the house rules, as the configuration has them."""
    guard = Plugin("house_rules", HouseRules(), "tradewire-house-rules")
    plugins = [Plugin("acme", Acme()), guard, Plugin("other", Acme(id="other"))]
    return registry.catalog(plugins, {} if settings is None else {"house_rules": settings}, required)


def rig_of(catalog: Catalog, exchange: str) -> Rig:
    """A transport for one exchange of the catalog."""
    clock, wire, found = FakeClock(), ListedWire([reply()]), catalog.exchanges[exchange]
    return Rig(Transport(found.info, found.hook, wire, clock), found.hook, clock, wire)


@pytest.mark.parametrize("exchange", ["acme", "other"])
async def test_guard_configured_holds_at_every_exchange(exchange: str) -> None:
    """An order within the rule goes out; one above it is refused before a key is opened or a byte is sent."""
    on = rig_of(rules(MOST), exchange)
    assert await on.place() == OrderAck("42", "t1")
    with pytest.raises(UserError) as raised:
        on.transport.flow("place_order", account=ACCOUNT, order=replace(ORDER, price=Decimal(60_001)))
    assert str(raised.value) == (
        "House rule: This order is worth 6000.1 USDT; at most 6000 is allowed here. Nothing was sent."
    )
    assert (len(on.wire.sent), on.opened) == (1, 1)


async def test_guard_without_a_section_refuses_nothing() -> None:
    """No rules were set, so none is broken."""
    on = rig_of(rules(), "acme")
    assert await on.place() == OrderAck("42", "t1")


def test_guard_is_told_its_own_section_alone() -> None:
    """What is set for one plugin is nobody else's to see; an exchange may be configured too."""
    seen: list[Any] = []

    class Curious(Acme):
        @hookimpl
        def configure(self, settings: Mapping[str, Any]) -> None:
            seen.append(settings)

    options = {"acme": {"a": 1}, "house_rules": MOST}
    catalog = registry.catalog([Plugin("acme", Curious()), Plugin("house_rules", HouseRules())], options)
    assert (seen, catalog.guards, "configure" in catalog.exchanges["acme"].hooks) == (
        [{"a": 1}],
        ("house_rules",),
        True,
    )


def test_guard_wrongly_configured_is_broken_and_harms_no_exchange() -> None:
    """The sentence names the section and the key."""
    catalog = rules({"most_per_order": {"USDT": "much"}})
    assert set(catalog.exchanges) == {"acme", "other"}
    assert catalog.broken == {
        "house_rules": '[plugins.house_rules]: most_per_order.USDT is an amount above zero in quotes, such as "500".'
    }
    assert (catalog.guards, catalog.unmet) == ((), ())


@pytest.mark.parametrize(
    ("required", "unmet"),
    [
        ((), []),
        (("house_rules",), []),
        (("tradewire-house-rules",), []),
        (
            ("audit",),
            ["[plugins] needs audit, which is not installed or not loaded. Install it, or take its name out."],
        ),
    ],
)
def test_required_guard_is_found_by_either_name(required: tuple[str, ...], unmet: list[str]) -> None:
    """By that of the plugin or of its distribution; one that is not there is named."""
    assert list(rules(MOST, required).unmet) == unmet


def test_required_guard_that_is_broken_is_unmet() -> None:
    """Whatever broke it: its configuration, its hooks or its import."""

    class WrapsSign:
        @hookimpl(wrapper=True)
        def sign(self) -> Any:
            return (yield)

    plugins = [
        Plugin("wraps", WrapsSign(), "tradewire-wraps"),
        Plugin("gone", None, "tradewire-gone", problem="it cannot be imported (ImportError: x); reinstall it"),
    ]
    catalog = registry.catalog(plugins, {}, ["tradewire-wraps", "gone"])
    assert catalog.unmet == (
        "[plugins] needs tradewire-wraps, which cannot be used: somebody wraps `sign`, which sees secrets; "
        "remove that hook",
        "[plugins] needs gone, which cannot be used: it cannot be imported (ImportError: x); reinstall it",
    )


def test_plugins_settings_need_what_is_named_and_what_is_configured() -> None:
    """A rule that was written down must hold, whether or not somebody also thought of requiring it."""
    settings = Plugins.model_validate({"required": "audit, notes", "house_rules": MOST})
    assert (settings.needed, settings.options) == (("audit", "notes", "house_rules"), {"house_rules": MOST})
    assert Plugins().needed == ()


def test_guard_crashing_stops_the_order() -> None:
    """A guard that fails while it is asked has not agreed."""

    class Fails:
        @hookimpl(wrapper=True)
        def place_order(self) -> Any:
            raise KeyError("bug")
            return (yield)

    catalog = registry.catalog([Plugin("acme", Acme()), Plugin("guard", Fails())])
    on = rig_of(catalog, "acme")
    with pytest.raises(Exception, match="plugin failed"):
        on.transport.flow("place_order", account=ACCOUNT, order=ORDER)
    assert on.wire.sent == []


def test_guard_cannot_change_the_order() -> None:
    """What the exchange's plugin gets is what was confirmed."""

    class Changes:
        @hookimpl(wrapper=True)
        def place_order(self, order: Any) -> Any:
            order.price = Decimal(1)
            return (yield)

    catalog = registry.catalog([Plugin("acme", Acme()), Plugin("guard", Changes())])
    with pytest.raises(Exception, match="FrozenInstanceError"):
        rig_of(catalog, "acme").transport.flow("place_order", account=ACCOUNT, order=ORDER)


async def test_guard_sees_no_credentials() -> None:
    """Whatever it wraps, a signed request never passes it: the flow holds unsigned ones."""
    seen: list[Request] = []

    class Watches:
        @hookimpl(wrapper=True)
        def place_order(self) -> Any:
            return self._watched((yield))

        def _watched(self, flow: Any) -> Any:
            request = next(flow)
            while True:
                seen.append(request)
                try:
                    request = flow.send((yield request))
                except StopIteration as stop:
                    return stop.value

    catalog = registry.catalog([Plugin("acme", Acme()), Plugin("guard", Watches())])
    on = rig_of(catalog, "acme")
    await on.place()
    assert [dict(each.headers) for each in seen] == [{}]
    assert [sorted(each.headers) for each in on.wire.sent] == [["acme-key", "acme-time"]]
