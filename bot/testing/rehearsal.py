"""Running a plugin's flows as the core does, against a strict local exchange, without sockets: under the contract."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache, cached_property
from inspect import isgenerator
from typing import Any, ClassVar, NoReturn

from pluggy import PluginManager, PluginValidationError

from bot.contract import hookspecs
from bot.contract.errors import ExchangeError, OutcomeUnknown, Rejected, UserError
from bot.contract.models import (
    Account,
    Balance,
    Candle,
    ExchangeInfo,
    Fill,
    KeyPermissions,
    Market,
    OrderAck,
    OrderBook,
    OrderReport,
    Ticker,
)
from bot.contract.streams import Stream
from bot.contract.wire import Credentials, Request, Response
from bot.testing.drafts import leaves, oddities
from bot.testing.strict import Received, StrictExchange

NOW_MS = 1_700_000_000_000
MOST_REQUESTS = 20
_ADDRESS = ("method", "path", "host", "places", "auth")
PUBLIC = {"markets", "ticker", "order_book", "candles", "server_time", "public_stream"}
KINDS: Mapping[str, tuple[type, ...]] = {
    "markets": (Market,),
    "ticker": (Ticker,),
    "order_book": (OrderBook,),
    "candles": (Candle,),
    "server_time": (int,),
    "balances": (Balance,),
    "detect": (Mapping,),
    "key_permissions": (KeyPermissions,),
    "place_order": (OrderAck,),
    "find_order": (OrderReport, type(None)),
    "order_status": (OrderReport,),
    "open_orders": (OrderReport,),
    "order_history": (OrderReport,),
    "fills": (Fill,),
    "cancel_order": (type(None),),
    "cancel_all": (type(None),),
    "public_stream": (Stream,),
    "private_stream": (Stream,),
}
"""What each flow returns, or what its list holds."""


@dataclass(frozen=True, slots=True)
class Call:
    """One flow that was run: what it was asked, what it sent, what it heard, how it ended."""

    hook: str
    arguments: Mapping[str, Any]
    requests: list[Request] = field(default_factory=list)
    responses: list[Response] = field(default_factory=list)
    result: Any = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """A published example of a signature.

    Attributes:
        source: Where it is from: a page of the documentation with the date it was read, or another client.
        request: Unsigned.
        timestamp: In the plugin's `timestamp_unit`.
        credentials: The example's.
        headers: Those of the signed request that the example shows.
        target: Path and query as they are sent; empty where the example does not show them.
        body: As it is sent; empty where the example does not show it.
    """

    source: str
    request: Request
    timestamp: int
    credentials: Credentials
    headers: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    body: bytes = b""


class ContractBroken(AssertionError):
    """The plugin breaks the contract; the text says where, and what to do."""


class Rehearsal:
    """A plugin, its accounts, and the ways to call it. `Story` says what for, and `ExchangeContract` adds the checks.

    Attributes:
        plugin: The plugin's module.
        credentials: Invented ones; the secret has at least eight characters that occur nowhere else.
        accounts: One of every kind of account that the plugin tells apart.
        market: Used for drafts of orders where there is no local exchange.
        vectors: Published signatures that `sign` must give.
        clock: What `exchange` gives to the local exchange; a fixed time, and in `tradewire demo` the machine's.
    """

    plugin: Any
    credentials: ClassVar[Credentials]
    accounts: ClassVar[Sequence[Account]] = (Account(1, "main"),)
    vectors: ClassVar[Sequence[Vector]] = ()
    clock: Callable[[], int] = staticmethod(lambda: NOW_MS)
    market: ClassVar[Market] = Market(
        symbol="BTC/USDT",
        exchange_symbol="BTCUSDT",
        base="BTC",
        quote="USDT",
        price_step=Decimal("0.01"),
        quantity_step=Decimal("0.0001"),
        quote_step=Decimal("0.01"),
    )

    def exchange(self, account: Account) -> StrictExchange | None:
        """Return a new strict local exchange in which `credentials` have money, or `None` to check less."""
        return None

    def may_reject(self, request: Request, response: Response) -> bool:
        """Return whether a refusal without a code of the table is documented as "not executed"."""
        return response.status in (418, 429)

    _minted = 0
    _now_ms = NOW_MS

    @cached_property
    def hook(self) -> Any:
        """The plugin's hooks, called by name as the core calls them."""
        manager = PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        try:
            manager.register(self.plugin)
            manager.check_pending()
        except PluginValidationError as error:
            self.fail("a hook", f"does not fit its specification: {error}", "Compare it with docs/plugins.md.")
        return manager.hook

    @cached_property
    def hooks(self) -> set[str]:
        """The names of the hooks that the plugin has."""
        specs = (name for name, value in vars(hookspecs).items() if hasattr(value, "tradewire_spec"))
        return {name for name in specs if getattr(self.hook, name).get_hookimpls()}

    @cached_property
    def info(self) -> ExchangeInfo:
        """The plugin's constants."""
        info = self.hook.exchange_info()
        self.require(isinstance(info, ExchangeInfo), "exchange_info", f"returned {info!r}", "Return an ExchangeInfo.")
        return info  # type: ignore[no-any-return]

    def require(self, ok: object, hook: str, what: str, remedy: str) -> None:
        """Fail unless `ok`, with a sentence on the plugin's file, the hook, what it does wrong, and the remedy."""
        if not ok:
            self.fail(hook, what, remedy)

    def fail(self, hook: str, what: str, remedy: str) -> NoReturn:
        """Fail with such a sentence."""
        code = getattr(getattr(self.plugin, hook, None), "__code__", None)
        where = f"{code.co_filename}:{code.co_firstlineno}" if code else getattr(self.plugin, "__file__", self.plugin)
        raise ContractBroken(f"{where}: {hook} {what}. {remedy}")

    def new_id(self) -> str:
        """Return a client order id by the plugin's rule, a new one each time."""
        rule = self.info.client_id
        self._minted += 1
        counted = 700_000 + self._minted
        return str(counted) if rule.kind == "counter" else f"tw{counted}".ljust(min(rule.max_length, 20), "z")

    def signed(self, request: Request, credentials: Credentials | None = None, now_ms: int = NOW_MS) -> Request:
        """Stamp and sign, at a fixed time unless told otherwise."""
        stamp = now_ms // (1 if self.info.timestamp_unit == "ms" else 1000)
        keys = credentials or self.credentials
        signed: Request = self.hook.sign(request=request.stamped(stamp), credentials=keys, timestamp=stamp)
        self.require(isinstance(signed, Request), "sign", "returns no Request", "Return the signed request.")
        moved = [name for name in _ADDRESS if getattr(signed, name) != getattr(request, name)]
        self.require(not moved, "sign", f"changes {moved} of {request.path}", "Add to headers, query or JSON only.")
        return signed

    def mapped(self, request: Request, response: Response) -> ExchangeError | None:
        """Return what the plugin makes of a reply, as the core takes it."""
        what = f"HTTP {response.status} {response.body[:200]!r}"
        try:
            error: ExchangeError | None = self.hook.map_error(request=request, response=response)
        except OutcomeUnknown as doubt:  # as `Response.json` raises it; the core takes it as the answer
            return doubt
        except Exception as crash:
            self.fail("map_error", f"raised {crash!r} on {what}", "Return OutcomeUnknown for what cannot be read.")
        good = error is None or isinstance(error, Rejected | OutcomeUnknown)
        self.require(good, "map_error", f"returned {error!r} on {what}", "Return None, a Rejected or OutcomeUnknown.")
        return error

    def run(self, hook: str, arguments: Mapping[str, Any], answer: Callable[[Request], Response | None]) -> Call:
        """Do what the core does with a flow, until `answer` has no reply."""
        call = Call(hook, arguments)
        try:
            flow = getattr(self.hook, hook)(**arguments)
            self.require(isgenerator(flow), hook, "is no flow", "Yield requests, or return another flow.")
            request = next(flow)
            while True:
                self.require(isinstance(request, Request), hook, f"yielded {request!r}", "Yield Request objects only.")
                call.requests.append(request)
                self.check_request(hook, request)
                enough = len(call.requests) <= MOST_REQUESTS
                self.require(enough, hook, f"sent more than {MOST_REQUESTS} requests", "Ask for fewer pages.")
                response = answer(request)
                if response is None:
                    flow.close()
                    return call
                call.responses.append(response)
                error = self.mapped(request, response)
                if error and request.places and not isinstance(error, Rejected):
                    raise error
                request = flow.throw(error) if error else flow.send(response)
        except StopIteration as stop:
            return replace(call, result=stop.value)
        except (ExchangeError, UserError) as told:
            return replace(call, error=told)
        except ContractBroken:
            raise
        except Exception as crash:
            heard = b" ".join(each.body for each in call.responses)[:300]
            remedy = "Decode replies into checked types; raise ExchangeError or UserError only."
            self.fail(hook, f"raised {crash!r} after the replies {heard!r}", remedy)

    def send(self, exchange: StrictExchange, request: Request) -> Response:
        """Sign and carry out one request."""
        self._now_ms = max(self._now_ms + 1, exchange.clock())
        signed = request if request.auth == "none" else self.signed(request, now_ms=self._now_ms)
        headers = {name.lower(): value for name, value in signed.headers.items()}
        reply = exchange.handle(Received(signed.method, signed.target, headers, signed.body))
        return Response(reply.status, {name.lower(): value for name, value in reply.headers.items()}, reply.body)

    def replay(self, call: Call, spoil: Callable[[int, Any], Any]) -> Any:
        """Run the flow of `call` again on its own replies, spoiled; return its result or its error."""
        seen: list[Request] = []

        def answer(request: Request) -> Response:
            seen.append(request)
            named = (request.method, request.path)
            fits = [at for at, each in enumerate(call.requests) if (each.method, each.path) == named]
            turn = len(seen) - 1
            if turn == MOST_REQUESTS or not fits:
                raise OutcomeUnknown("nothing was recorded for this request")
            at = turn if turn in fits else fits[-1]
            recorded = call.responses[at]
            value = spoil(at, json.loads(recorded.body))
            body = value if isinstance(value, bytes) else json.dumps(value).encode()
            return replace(recorded, body=body)

        again = self.run(call.hook, call.arguments, answer)
        return again.error or again.result

    def ask(self, exchange: StrictExchange, hook: str, **arguments: Any) -> Call:
        """Run a flow at the exchange, which should let it succeed."""
        call = self.run(hook, arguments, lambda request: self.send(exchange, request))
        self.require(call.error is None, hook, f"failed at the local exchange: {call.error!r}", "See its last request.")
        self.check_result(hook, call.result, "at the local exchange")
        return call

    def check_result(self, hook: str, result: Any, where: str) -> None:
        """Fail unless `result` is what the hook returns, with every field of its type."""
        each_of = result if isinstance(result, list | tuple) else [result]
        good = all(isinstance(each, KINDS[hook]) for each in each_of)
        self.require(good, hook, f"returns {result!r} {where}", f"Return {KINDS[hook][0].__name__}.")
        for oddity in oddities(result, "its result"):
            self.fail(hook, f"returns a value in which {oddity}, {where}", "Read replies into checked types.")

    def check_request(self, hook: str, request: Request) -> None:
        """Fail unless the core would let `request` through."""
        info, named = self.info, f"{request.method} {request.path}"
        listed = _any_of(info.paths).fullmatch(named)
        unknown = ", ".join(request.costs.keys() - info.limits.keys())

        def needs(ok: object, what: str, remedy: str) -> None:
            self.require(ok, hook, f"{what} in {named}", remedy)

        needs(listed, "uses a path that is not listed", "Add it to `paths` in exchange_info.")
        needs(request.host in info.hosts, f"names the host {request.host!r}", "Declare it in exchange_info.")
        needs(not unknown, f"names the undeclared limits {unknown}", "Declare them in exchange_info.")
        needs(request.auth == "none" or hook not in PUBLIC, "wants an account", "Say auth='none'.")
        needs(hook == "place_order" or not request.places, "places an order", "Leave places=False.")
        for leaf in leaves([request.query, request.json]):
            is_number = isinstance(leaf, float | Decimal)
            is_number |= isinstance(leaf, str) and bool(re.fullmatch(r"[-+]?[\d.]+[eE][-+]?\d+", leaf))
            needs(not is_number, f"sends the number {leaf!r}", 'Send numbers as text, by format(number, "f").')


@cache
def _any_of(paths: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(path).replace(r"\*", r"[^/?#\s]+") for path in paths))
