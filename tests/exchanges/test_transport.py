"""The driver: what a flow may ask for, and what is signed and sent for it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any
from urllib.parse import unquote_plus

import httpx
import pytest
import stamina
from hypothesis import given, settings
from hypothesis import strategies as st

from bot import (
    TIMESTAMP,
    TIMESTAMP_TEXT,
    Account,
    Balance,
    Credentials,
    ExchangeError,
    Flow,
    InsufficientFunds,
    Limit,
    NotSent,
    OutcomeUnknown,
    Rejected,
    Request,
    Response,
    hookimpl,
)
from bot.contract.errors import PluginError
from bot.exchanges.http import HttpWire
from tests.exchanges.acme import BALANCES, CANARY, INFO, Acme, Rig, place, reply, rig, rig_on
from tests.fakes import START_MS


def ask(*requests: Request) -> Flow[list[Response]]:
    """A flow of reads."""
    replies = []
    for request in requests:
        replies.append((yield request))
    return replies


def heard(plugin: Acme) -> tuple[Rig, list[httpx.Request]]:
    """A transport over httpx itself, with nothing but the network replaced, and what reached that."""
    received: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        received.append(request)
        return httpx.Response(200, content=b'{"code":0}')

    return rig_on(HttpWire("Acme", INFO.hosts, transport=httpx.MockTransport(answer)), plugin), received


async def test_request_signed_sends_the_bytes_that_were_signed() -> None:
    """Order of the query, percent-encoding and JSON body arrive as `sign` saw them."""
    plugin = Acme()
    on, received = heard(plugin)
    query = [("b", "2"), ("a", "ä /?&=+%~*'"), ("a", 1)]
    body = {"z": "ü", "a": [1, {"b": None}]}
    await on.place(ask(Request.post("/v1/orders", body, query=query)))
    target = "/v1/orders?b=2&a=%C3%A4%20%2F%3F%26%3D%2B%25~%2A%27&a=1"
    content = '{"z":"ü","a":[1,{"b":null}]}'.encode()
    assert plugin.signed == [(target, content, START_MS)]
    assert [(sent.method, sent.extensions["target"], sent.content) for sent in received] == [
        ("POST", target.encode(), content)
    ]
    assert received[0].headers["acme-key"] == CANARY
    assert received[0].url.host == "api.acme.example"


@settings(deadline=None)
@given(query=st.lists(st.tuples(st.text(min_size=1), st.text()), max_size=4))
def test_request_any_query_arrives_as_it_was_written(query: list[tuple[str, str]]) -> None:
    """No text makes httpx send another target than the one signed."""
    request = Request.get("/v1/balances", query)
    told: list[bytes] = []

    def answer(message: httpx.Request) -> httpx.Response:
        told.append(message.extensions["target"])
        return httpx.Response(200)

    wire = HttpWire("Acme", INFO.hosts, transport=httpx.MockTransport(answer))
    asyncio.run(wire.send(request, timeout_seconds=1))
    assert told == [request.target.encode()]
    pairs = [tuple(map(unquote_plus, part.split("="))) for part in request.query_text.split("&") if part]
    assert pairs == query


@pytest.mark.parametrize(("unit", "stamp"), [("ms", START_MS), ("s", START_MS // 1000)])
async def test_timestamp_is_filled_in_the_exchanges_unit(unit: str, stamp: int) -> None:
    """`TIMESTAMP` is text in a query and a number in JSON; `sign` is told the same instant in the same unit."""
    plugin = Acme(timestamp_unit=unit)
    on = rig(plugin=plugin)
    await on.place(ask(Request.post("/v1/orders", {"n": TIMESTAMP, "t": TIMESTAMP_TEXT}, query={"q": TIMESTAMP})))
    target, body = f"/v1/orders?q={stamp}", f'{{"n":{stamp},"t":"{stamp}"}}'.encode()
    assert plugin.signed == [(target, body, stamp)]
    assert [(sent.target, sent.body) for sent in on.wire.sent] == [(target, body)]


async def test_credentials_reach_sign_once_for_each_signed_request() -> None:
    """A public request opens nothing; every signed one opens the keys once, for one signature."""
    plugin = Acme()
    on = rig(plugin=plugin)
    await on.read(ask(BALANCES, Request.get("/v1/ticker", auth="none"), Request.get("/v1/balances", auth="key")))
    assert (on.opened, len(plugin.signed), len(on.wire.sent)) == (2, 2, 3)


async def test_credentials_reach_nobody_but_sign() -> None:
    """No other hook, and no guard around any hook, is handed what `sign` added to a request."""
    seen: list[str] = []

    class Curious(Acme):
        @hookimpl
        def map_error(self, request: Request, response: Response) -> ExchangeError | None:
            seen.append(repr((request, response)))
            return None

        @hookimpl
        def balances(self, account: Account) -> Flow[list[Balance]]:
            seen.append(repr(account))
            seen.append(repr((yield BALANCES)))
            return []

    class Guard:
        @hookimpl(wrapper=True)
        def map_error(self, request: Request, response: Response) -> Any:
            seen.append(repr((request, response)))
            return (yield)

    on = rig(plugin=Curious(), guards=[Guard()])
    await on.read(on.hook.balances(account=Account(7, "main")))
    assert len(seen) == 4
    assert CANARY not in "".join(seen)
    assert CANARY in repr(on.wire.sent), "control: the request that left does carry the key"


async def test_read_failing_is_tried_three_times_each_signed_afresh() -> None:
    """A failure of the moment is repeated twice, and never with an old timestamp."""
    plugin = Acme()
    on = rig(NotSent("down", transient=True), OutcomeUnknown("silent", transient=True), plugin=plugin)
    with stamina.set_testing(True, attempts=10, cap=True), pytest.raises(OutcomeUnknown, match="silent"):
        await on.read(ask(BALANCES))
    assert [stamp for _, _, stamp in plugin.signed] == [START_MS, START_MS + 1, START_MS + 2]
    assert [sent.headers["acme-time"] for sent in on.wire.sent] == [str(START_MS + number) for number in range(3)]


async def test_read_recovering_gives_its_answer() -> None:
    """The second attempt's reply is the flow's reply."""
    on = rig(NotSent(transient=True), reply())
    assert await on.read(ask(BALANCES)) == [reply()]


@pytest.mark.parametrize("failure", [NotSent("full"), OutcomeUnknown("odd"), reply('{"code":1001}', 400)])
async def test_read_refused_is_not_repeated(failure: Any) -> None:
    """Only failures of the moment are worth a second try."""
    on = rig(failure)
    with pytest.raises(ExchangeError):
        await on.read(ask(BALANCES))
    assert len(on.wire.sent) == 1


async def test_flow_may_catch_what_a_read_failed_with() -> None:
    """A doubt about a read is only a failed read: the flow may go on without it."""

    def flow() -> Flow[str]:
        with suppress(OutcomeUnknown):
            yield BALANCES
        try:
            yield BALANCES
        except Rejected as error:
            return type(error).__name__
        return ""

    on = rig(OutcomeUnknown(), reply('{"code":1001}', 400))
    assert await on.read(flow()) == "InsufficientFunds"


REFUSED: list[tuple[Any, str]] = [
    (Request.get("/v1/balances", host="evil"), "named a host it did not declare: evil."),
    (Request.get("/v1/withdraw"), "asked for GET /v1/withdraw, which is not on its list of paths."),
    (Request.delete("/v1/balances"), "asked for DELETE /v1/balances, which is not on its list of paths."),
    (Request.get("/v1/balances/x"), "asked for GET /v1/balances/x, which is not on its list of paths."),
    (Request.get("/v1/orders/1/2"), "asked for GET /v1/orders/1/2, which is not on its list of paths."),
    (Request.get("/v1/orders/1?x=2"), "asked for GET /v1/orders/1?x=2, which is not on its list of paths."),
    (Request.get("/v1/orders/1#x"), "asked for GET /v1/orders/1#x, which is not on its list of paths."),
    (Request.get("/v1/orders/"), "asked for GET /v1/orders/, which is not on its list of paths."),
    (Request.post("/v1/orders", {"x": "y" * 65_536}), "made a body above 65536 bytes."),
    (Request.get("/v1/balances", costs={"al": 1}), "named a limit it did not declare, for GET /v1/balances."),
    (Request.get("/v1/balances", costs={"all": 1001}), "made a request that weighs more than all allows."),
    (Request.get("/v1/ticker", headers={" HOST": "x"}), "set the header  HOST, which is the bot's to set."),
    (Request.get("/v1/ticker", auth="none", headers={"te": ""}), "set the header te, which is the bot's to set."),
    ("GET /v1/balances", "yielded something that is not a Request."),
    (place(), "tried to place an order where it may not: POST /v1/orders."),
]


@pytest.mark.parametrize(("request_", "sentence"), REFUSED, ids=[sentence[:45] for _, sentence in REFUSED])
async def test_request_off_the_contract_is_not_sent(request_: Any, sentence: str) -> None:
    """Hosts, paths, sizes, limits and placing are checked before anything is signed; the flow has no say in it."""

    def flow() -> Flow[None]:
        try:
            yield request_
        except Exception:
            return

    on = rig()
    with pytest.raises(PluginError) as raised:
        await on.read(flow())
    assert str(raised.value) == f"The Acme plugin {sentence}"
    assert on.transport.last_error == str(raised.value)
    assert (on.wire.sent, on.opened) == ([], 0)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"t": TIMESTAMP, "x": "y" * 65_536}, "made a body above 65536 bytes."),
        ({"t": TIMESTAMP, "x": object()}, "failed (TypeError). Nothing was placed; see the log."),
        ({"x": object()}, "failed (TypeError). Nothing was placed; see the log."),
    ],
    ids=["too large", "no JSON", "no JSON and no time"],
)
async def test_body_that_cannot_be_sent_once_it_tells_the_time_is_not_signed(body: Any, sentence: str) -> None:
    """Where the time is part of a body, the body is looked at when it is filled in, before anything is signed."""
    plugin = Acme()
    on = rig(plugin=plugin)
    with pytest.raises(PluginError) as raised:
        await on.place(ask(Request.post("/v1/orders", body, places=True)))
    assert str(raised.value) == f"The Acme plugin {sentence}"
    assert (on.wire.sent, on.opened, plugin.signed, on.departures) == ([], 0, [], [])


async def test_path_that_was_asked_for_before_vouches_for_no_other() -> None:
    """The list of paths is looked up once for each method and path, and for each of them."""
    on = rig()
    for path, is_listed in [("/v1/orders/1", True), ("/v1/orders/2", True), ("/v1/orders/withdraw", False)] * 2:
        asked = [Request.get(path), Request.delete(path)]
        assert [await _is_sent(on, request) for request in asked] == [is_listed, False]


async def _is_sent(on: Rig, request: Request) -> bool:
    try:
        await on.read(ask(request))
    except PluginError:
        return False
    return True


@pytest.mark.parametrize(
    "request_",
    [
        Request.get("/v1/orders/1", host="data"),
        Request.get("/v1/balances", {"x": "/../?#"}, costs={"all": 1000}),
        Request.post("/v1/orders", {"x": "y" * 65_528}),
    ],
    ids=["wildcard", "weight", "body"],
)
async def test_request_just_within_the_contract_is_sent(request_: Request) -> None:
    """The checks refuse no more than they say: the control of the test above."""
    on = rig()
    assert await on.read(ask(request_)) == [reply()]


async def test_request_signed_without_an_account_is_not_sent() -> None:
    """A public call has no keys to open."""
    on = rig()
    with pytest.raises(PluginError) as raised:
        await on.transport.run(ask(BALANCES))
    assert str(raised.value) == "The Acme plugin asked for a signature in a call that has no account."
    assert on.wire.sent == []


@pytest.mark.parametrize(("asked", "sent"), [(20, 20), (21, 20)])
async def test_flow_asking_for_more_than_twenty_requests_ends(asked: int, sent: int) -> None:
    """Twenty are sent, the next one is not."""
    on = rig()
    try:
        result: object = len(await on.read(ask(*[BALANCES] * asked)))
    except PluginError as error:
        result = str(error)
    assert result == (20 if asked == 20 else "The Acme plugin asked for more than 20 requests in one call.")
    assert len(on.wire.sent) == sent


@pytest.mark.parametrize("crash", [KeyError("x"), SystemExit(1), RecursionError()])
@pytest.mark.parametrize("after", [0, 1])
async def test_flow_crashing_is_the_plugins_error(crash: BaseException, after: int) -> None:
    """Whatever a plugin raises, even at its very start, ends the call and nothing else."""

    def flow() -> Flow[None]:
        for _ in range(after):
            yield BALANCES
        raise crash
        yield

    on = rig()
    with pytest.raises(PluginError) as raised:
        await on.read(flow())
    name = type(crash).__name__
    assert str(raised.value) == f"The Acme plugin failed ({name}). Nothing was placed; see the log."


@pytest.mark.parametrize("flow", [None, 5, [BALANCES]])
async def test_flow_that_is_none_is_the_plugins_error(flow: Any) -> None:
    """A hook that forgot to yield is named, and not hidden behind a second failure."""
    with pytest.raises(PluginError, match="The Acme plugin failed"):
        await rig().read(flow)


@pytest.mark.parametrize("changed", ["path", "method", "host", "places", "nothing"])
async def test_sign_changing_the_address_sends_nothing(changed: str) -> None:
    """A signature adds to a request; it does not send it elsewhere."""
    other: dict[str, Any] = {"path": "/v1/ticker", "method": "DELETE", "host": "data", "places": True}

    class Turncoat(Acme):
        @hookimpl
        def sign(self, request: Request, credentials: Credentials, timestamp: int) -> Request:
            fields: dict[str, Any] = {"method": "GET", "path": "/v1/balances"}
            return Request(**fields | ({changed: other[changed]} if changed in other else {}))

    on = rig(plugin=Turncoat())
    if changed == "nothing":
        await on.read(ask(BALANCES))
    else:
        with pytest.raises(PluginError) as raised:
            await on.read(ask(BALANCES))
        assert str(raised.value) == "The Acme plugin changed the address of a request while signing it."
    assert len(on.wire.sent) == (1 if changed == "nothing" else 0)


@pytest.mark.parametrize("crash", [KeyError(CANARY), SystemExit(), None])
async def test_sign_crashing_sends_nothing(crash: BaseException | None) -> None:
    """Not even in a call that places: nothing was signed, so nothing can have left."""

    class Broken(Acme):
        @hookimpl
        def sign(self, request: Request, credentials: Credentials, timestamp: int) -> Any:
            if crash:
                raise crash

    on = rig(plugin=Broken())
    with pytest.raises(PluginError) as raised:
        await on.place()
    assert CANARY not in str(raised.value)
    assert (on.wire.sent, on.departures) == ([], [])


@pytest.mark.parametrize("answer", [ValueError, SystemExit, "text", ExchangeError("?"), NotSent("?"), 0])
async def test_map_error_that_cannot_be_believed_is_a_doubt(answer: Any) -> None:
    """A crash, something that is no error, or a verdict that no reply can prove: nobody can tell."""

    class Odd(Acme):
        @hookimpl
        def map_error(self, request: Request, response: Response) -> Any:
            if isinstance(answer, type):
                raise answer
            return answer

    on = rig(reply(status=418), plugin=Odd())
    with pytest.raises(OutcomeUnknown) as raised:
        await on.read(ask(BALANCES))
    assert (str(raised.value), raised.value.status) == ("Acme's reply could not be understood", 418)


async def test_map_error_is_asked_about_http_200_too() -> None:
    """An exchange may refuse with HTTP 200."""

    class Polite(Acme):
        @hookimpl
        def map_error(self, request: Request, response: Response) -> ExchangeError | None:
            return InsufficientFunds("too little") if response.json()["code"] == 5 else None

    on = rig(reply('{"code":5}'), plugin=Polite())
    with pytest.raises(InsufficientFunds, match="too little"):
        await on.place()


async def test_limit_is_counted_for_the_account_that_asks() -> None:
    """The run's account, not another's, pays a limit per account."""
    on = rig(plugin=Acme(limits={"all": (Limit(1, 60, "account"),)}))
    costly = Request.get("/v1/balances", costs={"all": 1})
    await on.read(ask(costly))
    await on.transport.run(ask(costly), account_id=8, credentials=on.credentials)
    with pytest.raises(NotSent):
        await on.read(ask(costly))
