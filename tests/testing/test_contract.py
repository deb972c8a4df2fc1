"""The contract's checks themselves: a sound plugin passes them, and each wrong one fails with the remedy named."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from bot import (
    Account,
    Balance,
    Credentials,
    ErrorRow,
    Event,
    ExchangeError,
    ExchangeInfo,
    Flow,
    InvalidOrder,
    Limit,
    Market,
    Order,
    OrderAck,
    OutcomeUnknown,
    Request,
    Response,
    Ticker,
    hookimpl,
)
from bot.testing.contract import ExchangeContract
from tests.testing.acme import INFO, Acme, Contract

CHECKS = [name for name in dir(ExchangeContract) if name.startswith("test_")]


def outcome(plugin: Any, check: str, suite: type[ExchangeContract] = Contract) -> str:
    """Return what the check says against the plugin: empty when it passes or is skipped."""
    contract = suite()
    contract.plugin = plugin
    try:
        getattr(contract, check)()
    except AssertionError as broken:
        return str(broken)
    except pytest.skip.Exception:
        return ""
    return ""


@pytest.mark.parametrize("check", CHECKS)
def test_contract_sound_plugin_passes(check: str) -> None:
    """Nothing is asked for that a plain plugin does not have."""
    assert outcome(Acme(), check) == ""


class WrapsSign(Acme):
    @hookimpl(wrapper=True)
    def sign(self, request: Request) -> Iterator[None]:  # type: ignore[override]
        return (yield)


class LacksTicker(Acme):
    ticker = None  # type: ignore[assignment]


class AsksForMore(Acme):
    @hookimpl
    def ticker(self, market: Market, account: Account) -> Flow[Ticker]:  # type: ignore[override]
        raise NotImplementedError


class FloatPrice(Acme):
    @hookimpl
    def ticker(self, market: Market) -> Flow[Ticker]:
        found = yield from Acme.ticker(self, market)
        return replace(found, last=float(found.last))  # type: ignore[arg-type]


class FloatSize(Acme):
    def body(self, order: Order) -> dict[str, Any]:
        return {**super().body(order), "size": float(order.size.amount)}


class ExponentSize(Acme):
    def body(self, order: Order) -> dict[str, Any]:
        return {**super().body(order), "size": str(order.size.amount)}


class Rounds(Acme):
    def body(self, order: Order) -> dict[str, Any]:
        return {**super().body(order), "size": f"{order.size.amount:.8f}"}


class PlacesTwice(Acme):
    def placing(self, order: Order, body: dict[str, Any]) -> Flow[OrderAck]:
        yield from super().placing(order, body)
        return (yield from super().placing(order, body))


class LosesOurId(Acme):
    def body(self, order: Order) -> dict[str, Any]:
        return {**super().body(order), "ours": "1"}


class TakesPostOnly(Acme):
    @hookimpl
    def place_order(self, order: Order) -> Flow[OrderAck]:
        return Acme.place_order(self, replace(order, post_only=False))


class Strays(Acme):
    @hookimpl
    def balances(self) -> Flow[list[Balance]]:
        yield Request.get("/account")
        return []


class RejectsUnknown(Acme):
    @hookimpl
    def map_error(self, request: Request, response: Response) -> ExchangeError | None:
        return None if response.status == 200 else InvalidOrder("refused", code="4711")


class MapErrorCrashes(Acme):
    @hookimpl
    def map_error(self, request: Request, response: Response) -> ExchangeError | None:
        return None if response.status == 200 else OutcomeUnknown(json.loads(response.body)["code"])


class FrameCrashes(Acme):
    @hookimpl
    def read_frame(self, data: str | bytes) -> Sequence[Event]:
        json.loads(data)
        return ()


class LacksReadFrame(Acme):
    read_frame = None  # type: ignore[assignment]


class Undeclared(Acme):
    @hookimpl
    def cancel_all(self, market: Market) -> Flow[None]:
        yield from ()


class ErrorTellsSecret(Acme):
    @hookimpl
    def sign(self, request: Request, credentials: Credentials, timestamp: int) -> Request:
        if not credentials.secret.reveal().isprintable():
            raise ValueError(f"bad secret {credentials.secret.reveal()!r}")
        return Acme.sign(self, request, credentials, timestamp)


class KeepsSecret(Acme):
    kept = ""

    @hookimpl
    def sign(self, request: Request, credentials: Credentials, timestamp: int) -> Request:
        self.kept = credentials.secret.reveal()
        return Acme.sign(self, request, credentials, timestamp)

    def body(self, order: Order) -> dict[str, Any]:
        return {**super().body(order), "signed_with": self.kept}


class SendsSecret(Acme):
    @hookimpl
    def sign(self, request: Request, credentials: Credentials, timestamp: int) -> Request:
        return request.with_headers({"Acme-Secret": credentials.secret.reveal()})


class IgnoresSecret(Acme):
    @hookimpl
    def sign(self, request: Request, credentials: Credentials, timestamp: int) -> Request:
        return request.with_headers({"Acme-Sign": "0"})


class SignCounts(Acme):
    count = 0

    @hookimpl
    def sign(self, request: Request, credentials: Credentials, timestamp: int) -> Request:
        self.count += 1
        return Acme.sign(self, request, credentials, self.count)


class SignMoves(Acme):
    @hookimpl
    def sign(self, request: Request, credentials: Credentials, timestamp: int) -> Request:
        return msgspec.structs.replace(Acme.sign(self, request, credentials, timestamp), path="/orders")


class BelievesEmptiness(Acme):
    @hookimpl
    def balances(self) -> Flow[list[Balance]]:
        yield Request.get("/balances")
        return []


class KeyErrors(Acme):
    @hookimpl
    def ticker(self, market: Market) -> Flow[Ticker]:
        reply = yield Request.get("/ticker", auth="none")
        return Ticker(exchange_symbol=market.exchange_symbol, last=Decimal(reply.json()["last"]))


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    last: str


class RefusesNewFields(Acme):
    @hookimpl
    def ticker(self, market: Market) -> Flow[Ticker]:
        reply = yield Request.get("/ticker", auth="none")
        return Ticker(exchange_symbol=market.exchange_symbol, last=Decimal(reply.decode(Strict).last))


class PublicNeedsKey(Acme):
    @hookimpl
    def ticker(self, market: Market) -> Flow[Ticker]:
        yield Request.get("/ticker")
        raise NotImplementedError


class Informed(Acme):
    """Acme with other constants."""

    def __init__(self, **changes: Any) -> None:
        self.info = replace(INFO, **changes)

    @hookimpl
    def exchange_info(self) -> ExchangeInfo:
        return self.info


def able(**changes: Any) -> Informed:
    return Informed(capabilities=replace(INFO.capabilities, **changes))


REGISTERS, CONSTANTS = "test_plugin_registers", "test_constants_are_sane"
AGREE, TABLE = "test_capabilities_and_hooks_agree", "test_error_table_is_written_in_one_style"
SIGN, SILENT = "test_sign_is_pure_and_keeps_the_secret", "test_secret_is_in_no_error_and_in_no_later_request"
MAP, FRAMES = "test_map_error_never_raises_and_rejects_only_by_the_table", "test_read_frame_never_raises"
PLACE, DIGITS = "test_place_order_sends_one_order_under_our_id", "test_place_order_keeps_every_digit"
UNDECLARED, STORY = "test_place_order_refuses_what_is_not_declared", "test_story_of_orders_from_market_to_fills"
NEW, BROKEN = "test_new_fields_in_replies_change_nothing", "test_broken_replies_are_exchange_errors"


@pytest.mark.parametrize(
    ("plugin", "check", "words"),
    [
        (WrapsSign(), REGISTERS, "sign is a wrapper. Return"),
        (LacksTicker(), REGISTERS, "ticker is missing. Write it"),
        (AsksForMore(), REGISTERS, "'account'.* Compare it with docs/plugins.md."),
        (Informed(contract_version=0), REGISTERS, "exchange_info was written for contract 0.* Upgrade"),
        (Informed(id="Acme"), CONSTANTS, "exchange_info has the id 'Acme'. Use lower-case"),
        (Informed(hosts={"api": "http://acme.example"}), CONSTANTS, "http://acme.example. Write https://"),
        (Informed(credential_fields=("key", "pin")), CONSTANTS, "asks for .*pin.*. Name secret"),
        (Informed(paths=(*INFO.paths, "GET /ticker")), CONSTANTS, "lists a path twice. Leave one"),
        (Informed(paths=("get /ticker",)), CONSTANTS, "lists 'get /ticker'. Write the method in upper case"),
        (Informed(paths=("POST /v1/withdraw",)), CONSTANTS, "could move money away. Remove it"),
        (Informed(paths=("POST /v1/subTransfer",)), CONSTANTS, "could move money away. Remove it"),
        (Informed(limits={"orders": (Limit(0, 1),)}), CONSTANTS, "a limit 'orders' of nothing. Give"),
        (able(market_buy_in=frozenset()), CONSTANTS, "no unit for market buys. Name"),
        (able(cancel_all=True), AGREE, "cancel_all is missing, .* Write it or set cancel_all=False."),
        (able(key_report=True), AGREE, "key_permissions is missing, .* Write it or set key_report=False."),
        (able(find_by_client_id=True), AGREE, "find_order is missing, .* Write it or set find_by_client_id=False."),
        (able(absence_seconds=10), AGREE, "server_time is missing, .* Write it: they pass by the exchange's time."),
        (Undeclared(), AGREE, "cancel_all is there, but not declared. Set cancel_all=True"),
        (LacksReadFrame(), AGREE, "read_frame is missing, though the plugin has streams. Write it."),
        (
            Informed(errors={"1": ErrorRow(InvalidOrder, "bad.")}),
            TABLE,
            "'1' with cause 'bad.'. Leave out the full stop",
        ),
        (Informed(errors={"1": ErrorRow(InvalidOrder, "bad", "Go")}), TABLE, "with remedy 'Go'. End it with a full"),
        (Informed(errors={"1": ErrorRow(ExchangeError, "bad")}), TABLE, "of kind ExchangeError. Use a Rejected kind"),
        (SignCounts(), SIGN, "sign is not pure. Read no clock"),
        (SignMoves(), SIGN, r"sign changes \['path'\] of /balances. Add to headers"),
        (SendsSecret(), SIGN, "sign sends the secret. Send a signature only."),
        (IgnoresSecret(), SIGN, "sign ignores the secret for .* Sign with it"),
        (ErrorTellsSecret(), SILENT, "sign puts the secret in an error. Say what is wrong without it."),
        (KeepsSecret(), SILENT, "place_order has the secret in a request before `sign`. Leave it to `sign`."),
        (RejectsUnknown(), MAP, "map_error calls HTTP .* InvalidOrder, .*'4711'. Return OutcomeUnknown"),
        (MapErrorCrashes(), MAP, "map_error raised .* Return OutcomeUnknown"),
        (FrameCrashes(), FRAMES, r"read_frame raised JSONDecodeError.* Return \(\)"),
        (PlacesTwice(), PLACE, "place_order .* sent 2 requests with places=True. Send and mark exactly one."),
        (LosesOurId(), PLACE, "place_order .* does not send client_order_id. Put it in the placing request."),
        (FloatSize(), PLACE, "place_order sends the number .* in POST /orders. Send numbers as text"),
        (able(order_types=frozenset({"limit", "market", "stop_limit"})), PLACE, "place_order .*stop_limit.* Declare"),
        (ExponentSize(), DIGITS, r"sends the number '\S+E\S+' in POST /orders. Send numbers as text"),
        (Rounds(), DIGITS, "place_order does not send size 0.000000001 and .* Write numbers with format"),
        (
            TakesPostOnly(),
            UNDECLARED,
            "place_order takes a limit buy .* post-only, which is not declared. Raise UserError",
        ),
        (
            able(order_types=frozenset({"limit"})),
            UNDECLARED,
            "takes a market buy in Base.* not declared. Raise UserError",
        ),
        (FloatPrice(), STORY, "Ticker.last is 60000.0, not Decimal, .* Read replies into checked types."),
        (Strays(), STORY, "balances uses a path that is not listed in GET /account. Add it to `paths`"),
        (PublicNeedsKey(), STORY, "ticker wants an account in GET /ticker. Say auth='none'."),
        (RefusesNewFields(), NEW, "ticker made OutcomeUnknown.* of a reply with new fields. Ignore fields"),
        (KeyErrors(), BROKEN, "ticker raised .* Decode replies into checked types"),
        (BelievesEmptiness(), BROKEN, r"balances returns \[\] for the reply .* an empty reply is no answer."),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Acme) else None,
)
def test_contract_wrong_plugin_fails_with_hook_and_remedy(plugin: Acme, check: str, words: str) -> None:
    """The sentence names what does it, what is wrong, and what to do."""
    assert re.search(words, outcome(plugin, check), flags=re.DOTALL)


# The page on writing plugins


def test_docs_suite_runs_on_the_tutorial_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's own plugin passes what its page tells authors to run."""
    page = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    acme = ModuleType("tradewire_acme")
    exec(next(each for each in blocks if "exchange_info" in each), acme.__dict__)
    monkeypatch.setitem(sys.modules, "tradewire_acme", acme)
    space: dict[str, Any] = {"__name__": "tutorial"}
    exec(next(each for each in blocks if "ExchangeContract" in each), space)
    assert {check: outcome(acme, check, space["TestAcme"]) for check in CHECKS} == dict.fromkeys(CHECKS, "")
