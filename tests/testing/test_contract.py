"""The contract's checks themselves: a sound plugin passes them, and each wrong one fails with the remedy named."""

from __future__ import annotations

import hashlib
import hmac
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
    Base,
    Capabilities,
    Credentials,
    ErrorRow,
    Event,
    ExchangeError,
    ExchangeInfo,
    Flow,
    InsufficientFunds,
    InvalidOrder,
    Limit,
    Market,
    Order,
    OrderAck,
    OutcomeUnknown,
    Request,
    Response,
    Secret,
    Stream,
    Ticker,
    UserError,
    hookimpl,
)
from bot.testing import ledger
from bot.testing.contract import NOW_MS, ExchangeContract
from bot.testing.strict import Received, Reply, StrictExchange

SECRET = "not-a-real-secret"
ERRORS = {"1001": ErrorRow(InsufficientFunds, "the balance is too small", "Make the order smaller.")}
INFO = ExchangeInfo(
    id="acme",
    title="Acme",
    hosts={"api": "https://api.acme.example", "ws": "wss://ws.acme.example"},
    paths=("GET /markets", "GET /ticker", "GET /balances", "POST /orders"),
    limits={"orders": (Limit(10, seconds=1, per="account"),)},
    capabilities=Capabilities(market_buy_in=frozenset({"base"}), find_by_client_id=False),
    errors=ERRORS,
)


class Row(msgspec.Struct):
    name: str
    base: str
    quote: str


class Last(msgspec.Struct):
    last: str


class Funds(msgspec.Struct):
    free: Decimal


class Placed(msgspec.Struct):
    id: str


class Code(msgspec.Struct):
    code: str


class Acme:
    """A sound plugin; the hooks of an object register as those of a module do."""

    @hookimpl
    def exchange_info(self) -> ExchangeInfo:
        return INFO

    @hookimpl
    def sign(self, request: Request, credentials: Credentials, timestamp: int) -> Request:
        message = f"{timestamp}{request.method}{request.target}".encode() + request.body
        secret = credentials.secret.reveal().encode(errors="replace")
        return request.with_headers({"Acme-Sign": hmac.new(secret, message, hashlib.sha256).hexdigest()})

    @hookimpl
    def map_error(self, request: Request, response: Response) -> ExchangeError | None:
        if response.status == 200:
            response.json()
            return None
        try:
            code = msgspec.json.decode(response.body, type=Code).code
        except msgspec.DecodeError:
            return OutcomeUnknown("Acme sent an unreadable reply", status=response.status)
        row = ERRORS.get(code, ErrorRow(OutcomeUnknown, "an unknown code"))
        return row.kind(row.cause, code=code)

    @hookimpl
    def markets(self) -> Flow[list[Market]]:
        rows = (yield Request.get("/markets", auth="none")).decode(list[Row])
        step = Decimal("0.01")
        return [
            Market(
                symbol=f"{row.base}/{row.quote}",
                exchange_symbol=row.name,
                base=row.base,
                quote=row.quote,
                price_step=step,
                quantity_step=step,
                quote_step=step,
            )
            for row in rows
        ]

    @hookimpl
    def ticker(self, market: Market) -> Flow[Ticker]:
        text = (yield Request.get("/ticker", auth="none")).decode(Last).last
        if not re.fullmatch(r"\d+(\.\d+)?", text):
            raise OutcomeUnknown("Acme has no price")
        return Ticker(exchange_symbol=market.exchange_symbol, last=Decimal(text))

    @hookimpl
    def balances(self) -> Flow[list[Balance]]:
        funds = (yield Request.get("/balances")).decode(dict[str, Funds])
        if not funds or not all(each.free.is_finite() for each in funds.values()):
            raise OutcomeUnknown("Acme sent no balances")
        return [Balance(asset, each.free, Decimal(0)) for asset, each in funds.items()]

    @hookimpl
    def place_order(self, order: Order) -> Flow[OrderAck]:
        if order.type not in ("limit", "market") or order.time_in_force != "GTC" or order.post_only:
            raise UserError("Acme has no such order. Nothing was placed.")
        if not isinstance(order.size, Base):
            raise UserError("Acme takes sizes in base. Nothing was placed.")
        return (yield from self.placing(order, self.body(order)))

    def placing(self, order: Order, body: dict[str, Any]) -> Flow[OrderAck]:
        reply = yield Request.post("/orders", body, places=True, costs={"orders": 1})
        return OrderAck(reply.decode(Placed).id, order.client_order_id)

    def body(self, order: Order) -> dict[str, Any]:
        body = {"ours": order.client_order_id, "side": order.side, "size": format(order.size.amount, "f")}
        return body if order.price is None else {**body, "price": format(order.price, "f")}

    @hookimpl
    def public_stream(self, markets: Sequence[Market]) -> Flow[Sequence[Stream]]:
        yield from ()
        return [Stream(host="ws", path="/prices")]

    @hookimpl
    def read_frame(self, data: str | bytes) -> Sequence[Event]:
        return ()


class StrictAcme(StrictExchange):
    """Answers every request; places each order that has a size."""

    def __init__(self) -> None:
        super().__init__([ledger.Pair("BTCUSDT", "BTC", "USDT", 2, 2)], clock=lambda: NOW_MS)

    def handle(self, received: Received) -> Reply:
        answers: dict[str, Any] = {
            "/markets": [{"name": "BTCUSDT", "base": "BTC", "quote": "USDT"}],
            "/ticker": {"last": "60000"},
            "/balances": {"BTC": {"free": 1}, "USDT": {"free": 1}},
            "/orders": {"id": "1"},
        }
        return Reply(200, json.dumps(answers[received.path]).encode())


class Contract(ExchangeContract):
    plugin = Acme()
    credentials = Credentials(Secret("a-key"), Secret(SECRET))

    def exchange(self, account: Account) -> StrictExchange | None:
        return StrictAcme()


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
