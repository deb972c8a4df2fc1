"""Finding plugins: each exchange has a manager of its own, and one bad plugin harms no other."""

from __future__ import annotations

from collections.abc import Generator
from importlib import metadata
from typing import Any

import pytest

from bot import (
    Account,
    Credentials,
    ExchangeError,
    Flow,
    Order,
    OrderAck,
    Request,
    Response,
    Secret,
    UserError,
    hookimpl,
)
from bot.contract.errors import PluginError
from bot.exchanges import registry
from bot.exchanges.lock import Lock
from bot.exchanges.registry import Catalog, Plugin
from bot.testing.drive import drive
from tests.exchanges.acme import ACCOUNT, ORDER, Acme, place, reply, rig


def other(**changes: Any) -> Acme:
    """A second exchange."""
    return Acme(id="other", title="Other", **changes)


def found(*modules: Any) -> Catalog:
    """The catalog of plugins called p0, p1 and so on."""
    return registry.catalog(Plugin(f"p{number}", module) for number, module in enumerate(modules))


class Ban:
    """A guard that refuses one asset and writes down what became of the rest."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.seen: list[tuple[int, str, str]] = []

    @hookimpl(wrapper=True)
    def place_order(self, account: Account, order: Order) -> Generator[None, Flow[OrderAck], Flow[OrderAck]]:
        if order.market.base == self.base:
            raise UserError(f"{self.base} may not be traded here")
        return self._watched(account, order, (yield))

    def _watched(self, account: Account, order: Order, flow: Flow[OrderAck]) -> Flow[OrderAck]:
        try:
            ack = yield from flow
        except ExchangeError as error:
            self.seen.append((account.id, order.client_order_id, type(error).__name__))
            raise
        self.seen.append((account.id, order.client_order_id, ack.exchange_order_id))
        return ack


def test_exchange_has_a_manager_of_its_own() -> None:
    """A call for one exchange never reaches the plugin of another, its secrets included."""
    acme, bystander = Acme(), other()
    listed = found(acme, bystander)
    assert set(listed.exchanges) == {"acme", "other"}
    signed = listed.exchanges["acme"].hook.sign(
        request=Request.get("/v1/x"), credentials=Credentials(key=Secret("k")), timestamp=5
    )
    assert signed == Request.get("/v1/x", headers={"acme-key": "k", "acme-time": "5"})
    assert (acme.signed, bystander.signed) == ([("/v1/x", b"", 5)], [])


def test_exchange_lists_the_hooks_it_has() -> None:
    """What a plugin leaves out can be told before it is asked."""
    listed = found(Acme(), Ban("DOGE"))
    assert listed.exchanges["acme"].hooks == (
        "exchange_info",
        "sign",
        "map_error",
        "place_order",
        "balances",
        "markets",
        "ticker",
    )
    assert listed.exchanges["acme"].hook.server_time() is None


def test_guard_vetoes_an_order_of_every_exchange() -> None:
    """The exchange's plugin is never asked, whichever it is and however the plugins are listed."""
    asked: list[str] = []

    class Asked(Acme):
        @hookimpl
        def place_order(self, order: Order) -> Flow[OrderAck]:
            asked.append(self.info.id)
            return super().place_order(order)

    listed = found(Asked(), Ban("BTC"), Asked(id="other"))
    for registered in listed.exchanges.values():
        with pytest.raises(UserError, match="BTC may not be traded here"):
            registered.hook.place_order(account=ACCOUNT, order=ORDER)
    assert (set(listed.exchanges), asked, listed.broken) == ({"acme", "other"}, [], {})


def test_guard_watches_what_comes_back_from_every_exchange() -> None:
    """A guard lets the run through and learns how it ended."""
    guard = Ban("DOGE")
    listed = found(guard, Acme(), other())
    for exchange in ("acme", "other"):
        flow = listed.exchanges[exchange].hook.place_order(account=ACCOUNT, order=ORDER)
        driven = drive(flow, reply())
        assert (driven.result, driven.requests) == (OrderAck("42", "t1"), [place()])
    assert guard.seen == [(7, "t1", "42")] * 2


async def test_guard_veto_sends_nothing_through_the_transport() -> None:
    """A veto when the run begins reaches the caller as it is."""

    class Late:
        @hookimpl(wrapper=True)
        def place_order(self) -> Any:
            yield
            return self.refuse()

        def refuse(self) -> Flow[OrderAck]:
            raise UserError("not today")
            yield

    on = rig(guards=[Late()])
    with pytest.raises(UserError, match="not today"):
        await on.place()
    assert (on.wire.sent, on.departures) == ([], [])


class NoTicker(Acme):
    """Lacks a hook: an attribute that is no hook hides it."""

    ticker = None  # type: ignore[assignment]
    markets = None  # type: ignore[assignment]


class WrongArguments(Acme):
    @hookimpl
    def balances(self, account: Account, password: str) -> Any:  # type: ignore[override]
        """Asks for what no caller gives."""


class UnknownHook(Acme):
    @hookimpl
    def withdraw(self) -> None:
        """No such hook."""


class WrapsSign(Acme):
    @hookimpl(wrapper=True)
    def sign(self, credentials: Credentials) -> Any:  # type: ignore[override]
        return (yield)


class CrashingInfo(Acme):
    @hookimpl
    def exchange_info(self) -> Any:
        raise SystemExit("no licence")


class InfoOfAnotherKind(Acme):
    @hookimpl
    def exchange_info(self) -> Any:
        return {"id": "acme"}


class Hostile:
    """A module that cannot even be looked at."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("go away")


BROKEN: list[tuple[Any, str]] = [
    (NoTicker(), "it lacks markets, ticker; see the list of required hooks in docs/plugins.md"),
    (WrapsSign(), "somebody wraps `sign`, which sees secrets; remove that hook"),
    (CrashingInfo(), "exchange_info failed (SystemExit: no licence)"),
    (InfoOfAnotherKind(), "exchange_info must return an ExchangeInfo"),
    (Acme(contract_version=2), "it was written for contract 2, this is contract 1; upgrade tradewire"),
    (Acme(contract_version=0), "it was written for contract 0, this is contract 1; upgrade built in"),
    (WrongArguments(), "{'password'}"),
    (UnknownHook(), "unknown hook 'withdraw' in plugin"),
    (Acme(contract_version="1"), "'>' not supported"),
    (Acme(id=["list"]), "unhashable"),
]


@pytest.mark.parametrize(("module", "sentence"), BROKEN, ids=[sentence[:30] for _, sentence in BROKEN])
def test_broken_exchange_disables_itself_alone(module: Any, sentence: str) -> None:
    """The others work, and a sentence says what is wrong."""
    listed = found(other(), module)
    assert list(listed.exchanges) == ["other"]
    assert list(listed.broken) == ["p1"]
    assert sentence in listed.broken["p1"]


class WrappingGuard:
    @hookimpl(wrapper=True)
    def sign(self) -> Any:
        return (yield)


class OldWrappingGuard:
    @hookimpl(hookwrapper=True)
    def sign(self) -> Any:
        yield


class OwningGuard:
    @hookimpl
    def ticker(self) -> None:
        """Would answer for every exchange."""


class DisguisedGuard:
    @hookimpl(specname="map_error")
    def harmless(self) -> None:
        """Would answer for every exchange, under another name."""


class WrongGuard:
    @hookimpl(wrapper=True)
    def place_order(self, password: str) -> Any:
        return (yield)


class NoGenerator:
    @hookimpl(wrapper=True)
    def place_order(self) -> None:
        """A wrapper that never yields."""


GUARDS: list[tuple[Any, str]] = [
    (WrappingGuard(), "somebody wraps `sign`, which sees secrets; remove that hook"),
    (OldWrappingGuard(), "somebody wraps `sign`, which sees secrets; remove that hook"),
    (OwningGuard(), "p0 implements ticker, but has no exchange_info; a guard may only wrap"),
    (DisguisedGuard(), "p0 implements map_error, but has no exchange_info; a guard may only wrap"),
    (WrongGuard(), "{'password'}"),
    (NoGenerator(), "not a generator"),
]


@pytest.mark.parametrize(("guard", "sentence"), GUARDS, ids=[type(guard).__name__ for guard, _ in GUARDS])
def test_broken_guard_disables_itself_alone(guard: Any, sentence: str) -> None:
    """No exchange is blamed for it, and a sound guard beside it still guards."""
    watch = Ban("BTC")
    listed = found(guard, Acme(), watch, other())
    assert (set(listed.exchanges), list(listed.broken)) == ({"acme", "other"}, ["p0"])
    assert sentence in listed.broken["p0"]
    with pytest.raises(UserError):
        listed.exchanges["acme"].hook.place_order(account=ACCOUNT, order=ORDER)


@pytest.mark.parametrize("guard", [WrappingGuard(), OldWrappingGuard(), OwningGuard(), DisguisedGuard()])
def test_register_refuses_a_guard_that_does_more_than_wrap(guard: Any) -> None:
    """Also where the exchange is registered by hand."""
    with pytest.raises(PluginError):
        registry.register(Plugin("acme", Acme()), [Plugin("guard", guard)])


def test_exchange_id_taken_twice_keeps_the_first() -> None:
    """Which one holds the keys must not be a matter of luck."""
    first, second = Acme(), Acme()
    listed = found(first, second)
    assert listed.exchanges["acme"].plugin == Plugin("p0", first)
    assert listed.broken == {"p1": "another plugin already serves the exchange acme; uninstall one"}


def test_plugin_name_taken_twice_stops_nobody() -> None:
    """Two distributions may choose one name; the second is told so and the rest works."""
    listed = registry.catalog([Plugin("same", Ban("BTC")), Plugin("same", Acme()), Plugin("other", other())])
    assert list(listed.exchanges) == ["other"]
    assert "same" in listed.broken["same"]


def test_plugin_that_could_not_be_imported_is_reported() -> None:
    """What went wrong at import is what is told."""
    listed = registry.catalog([Plugin("gone", None, problem="it cannot be imported"), Plugin("acme", Acme())])
    assert (list(listed.exchanges), listed.broken) == (["acme"], {"gone": "it cannot be imported"})


def test_map_error_of_one_exchange_is_not_asked_for_another() -> None:
    """An unlisted code of one exchange means nothing at the other."""

    class Lenient(Acme):
        @hookimpl
        def map_error(self, request: Request, response: Response) -> ExchangeError | None:
            return None

    listed = found(Acme(), Lenient(id="other"))
    bad = reply('{"code":1001}', 400)
    answers = {
        name: type(it.hook.map_error(request=place(), response=bad)).__name__ for name, it in listed.exchanges.items()
    }
    assert answers == {"acme": "InsufficientFunds", "other": "NoneType"}


BUNDLED = ["bitget", "bitopro", "bitrue", "btcc"]
ALL_OFF = "TRADEWIRE_LOAD_PLUGINS does not name it; add it there, or unset that variable"


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (None, BUNDLED),
        ("", []),
        ("bitrue", ["bitrue"]),
        (" btcc , bitget ", ["bitget", "btcc"]),
        ("bitrue,nobody", ["bitrue"]),
        ("Bitget", []),
    ],
)
def test_discover_imports_the_plugins_that_are_named(
    monkeypatch: pytest.MonkeyPatch, wanted: str | None, names: list[str]
) -> None:
    """All without the variable, none when it is empty; the others are not imported, and say why."""
    monkeypatch.delenv("TRADEWIRE_LOAD_PLUGINS", raising=False)
    if wanted is not None:
        monkeypatch.setenv("TRADEWIRE_LOAD_PLUGINS", wanted)
    imported: list[str] = []
    found = registry.discover(load=lambda point, _: imported.append(point.name) or point.value)
    assert imported == names
    expected = [
        (name, f"tradewire_{name}", "", False) if name in names else (name, None, ALL_OFF, True) for name in BUNDLED
    ]
    mine = [each for each in found if each.trust == "bundled"]
    assert [(each.name, each.module, each.problem, each.is_off) for each in mine] == expected


@pytest.mark.parametrize("failure", [ImportError("no module"), SystemExit(3), SyntaxError("bad"), KeyError("x")])
def test_discover_survives_a_plugin_that_cannot_be_imported(
    monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    """Even one that ends the program; the next one is imported all the same."""
    monkeypatch.delenv("TRADEWIRE_LOAD_PLUGINS", raising=False)

    def load(point: metadata.EntryPoint, lock: Lock) -> Any:
        if point.name == "bitget":
            raise failure
        return "module"

    found = {each.name: each for each in registry.discover(load=load)}
    text = f"it cannot be imported ({type(failure).__name__}: {failure}); reinstall or upgrade tradewire-bitget"
    assert (found["bitget"].module, found["bitget"].problem) == (None, text)
    assert (found["bitrue"].module, found["bitrue"].problem) == ("module", "")


def test_discover_lets_the_operator_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C during a slow import is not a broken plugin."""
    monkeypatch.delenv("TRADEWIRE_LOAD_PLUGINS", raising=False)

    def load(point: metadata.EntryPoint, lock: Lock) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        registry.discover(load=load)


def test_discover_finds_the_plugin_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real entry point, its distribution and version, end in a usable exchange."""
    monkeypatch.setenv("TRADEWIRE_LOAD_PLUGINS", "bitget")
    plugins = registry.discover()
    assert [(each.name, each.distribution, each.trust) for each in plugins if not each.problem] == [
        ("bitget", "tradewire-bitget", "bundled")
    ]
    assert list(registry.catalog(plugins).exchanges) == ["bitget"]
