"""Machinery for strict local exchanges: a ledger of orders, faults on demand, and an HTTP server.

To imitate an exchange, subclass `StrictExchange`, write `handle` and `refusal`, and name its `placing_paths`; then
`async with StrictServer(exchange) as server:` serves it on `server.url`. `bot.testing.bitget` is the worked example.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

import h11

from bot.testing.ledger import DEEP, Ledger, Money, Order, Pair, Plan

CARRIED_OUT = {"drop_after", "error_after", "garbage", "late", "slow", "stale"}
NOT_CARRIED_OUT = {"banned", "drop_before", "error_before", "rate_limited"}
FAULTS = CARRIED_OUT | NOT_CARRIED_OUT


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came over the wire: `target` and `body` are raw, header names are lower case."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = b""

    @property
    def path(self) -> str:
        """The target before its first `?`."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The target after its first `?`, undecoded."""
        return self.target.partition("?")[2]


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})


class Refused(Exception):
    """The exchange refuses the request: its code and text, under this HTTP status."""

    def __init__(self, code: str, text: str, *, status: int = 400) -> None:
        super().__init__(code, text)
        self.code, self.text, self.status = code, text, status


@dataclass(eq=False, slots=True)
class Fault:
    """One misbehaviour, waiting for its request.

    Attributes:
        reached: Set when the request has come and, where the fault lets it, has been carried out.
        released: Set by `release`.
    """

    kind: str
    path: str
    times: int
    headers: Mapping[str, str]
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    hides: list[Order | Plan] = field(default_factory=list)

    def release(self) -> None:
        """Let go the reply that `slow` holds; show the orders that `stale` or `late` hides."""
        self.released.set()
        for order in self.hides:
            order.hidden = False


class StrictExchange:
    """The part of a strict exchange that is the same everywhere.

    Attributes:
        placing_paths: Paths of requests that place orders; set by the subclass.
        ledger: Orders and balances.
        received: Every request that arrived, oldest first, also those a fault kept from being carried out.
    """

    placing_paths: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, pairs: Iterable[Pair], *, clock: Callable[[], int] | None = None, first_id: int = 1001) -> None:
        self.clock = clock or (lambda: time.time_ns() // 1_000_000)
        self.ledger = Ledger(pairs, self.clock, first_id=first_id)
        self.received: list[Received] = []
        self._faults: list[Fault] = []

    def handle(self, received: Received) -> Reply:
        """Carry out one request. Never waits."""
        raise NotImplementedError

    def refusal(self, code: str) -> Reply:
        """Return the exchange's refusal with this code; `rate_limited` and `banned` are asked for by these names."""
        raise NotImplementedError

    @property
    def placing_requests(self) -> int:
        """How many requests to place an order arrived."""
        return sum(received.path in self.placing_paths for received in self.received)

    def orders(self, *, client_id: str = "", symbol: str = "", only_open: bool = False) -> list[Order]:
        """Return the orders that exist, oldest first, whether reads show them or not."""
        return [
            order
            for order in self.ledger.orders
            if client_id in ("", order.client_id)
            and symbol in ("", order.pair.symbol)
            and (order.status == "open" or not only_open)
        ]

    def set_price(self, symbol: str, bid: Money, ask: Money, *, depth: Money = DEEP) -> None:
        """See `Ledger.set_price`."""
        self.ledger.set_price(symbol, bid, ask, depth=depth)

    def misbehave(
        self, kind: str, path: str = "", *, times: int = 1, headers: Mapping[str, str] | None = None
    ) -> Fault:
        """Spoil the next `times` requests whose path ends with `path`; faults take turns in the order given.

        Args:
            kind: One of these, by what becomes of the request and of its reply.
                `drop_before`, `error_before`: not carried out; the connection closes, or HTTP 504.
                `drop_after`, `error_after`: carried out; the connection closes, or HTTP 504.
                `garbage`: carried out; HTTP 200 with a page instead of JSON.
                `slow`: carried out; the reply waits for `release`.
                `stale`: carried out and answered; reads do not show its orders before `release`.
                `late`: like `stale`, and the connection closes: the order seems to come long after.
                `accept:<code>`: carried out; answered like a refusal, as exchanges do that call it timed out.
                `rate_limited`, `banned`, `refuse:<code>`: not carried out; refused in the exchange's own form.
            path: End of the path; empty for any request.
            times: How many requests.
            headers: Added to a refusal, such as `{"Retry-After": "120"}`.
        """
        if kind not in FAULTS and not kind.startswith(("accept:", "refuse:")):
            known = ", ".join(sorted(FAULTS))
            raise ValueError(f"no fault {kind!r}: use one of {known}, accept:<code>, refuse:<code>")
        fault = Fault(kind, path, times, headers or {})
        self._faults.append(fault)
        return fault

    async def answer(self, received: Received) -> Reply | None:
        """Return the reply, spoiled by the fault whose turn it is, or `None` to close the connection."""
        self.received.append(received)
        fault = next((fault for fault in self._faults if received.path.endswith(fault.path)), None)
        if fault is None:
            return self.handle(received)
        fault.times -= 1
        if not fault.times:
            self._faults.remove(fault)
        is_carried_out = fault.kind in CARRIED_OUT or fault.kind.startswith("accept:")
        reply = self._carry_out(received, fault) if is_carried_out else None
        fault.reached.set()
        if fault.kind == "slow":
            await fault.released.wait()
        elif fault.kind in ("drop_before", "drop_after", "late"):
            reply = None
        elif fault.kind in ("error_before", "error_after"):
            reply = Reply(504, b"<html>504 Gateway Time-out</html>", {"content-type": "text/html"})
        elif fault.kind == "garbage":
            reply = Reply(200, b"<html>Please wait</html>", {"content-type": "text/html"})
        elif fault.kind != "stale":
            refusal = self.refusal(fault.kind.removeprefix("refuse:").removeprefix("accept:"))
            reply = Reply(refusal.status, refusal.body, {**refusal.headers, **fault.headers})
        return reply

    def _carry_out(self, received: Received, fault: Fault) -> Reply:
        ledger = self.ledger
        orders, plans = len(ledger.orders), len(ledger.plans)
        reply = self.handle(received)
        if fault.kind in ("stale", "late") and not fault.released.is_set():
            fault.hides += [*ledger.orders[orders:], *ledger.plans[plans:]]
            for order in fault.hides:
                order.hidden = True
        return reply


class StrictServer:
    """Serves one exchange over HTTP/1.1 on 127.0.0.1, in the running loop, for as long as `async with` lasts.

    Written on h11 and not on a web server, which would hide the raw target and cannot drop a connection on purpose.
    Leaving the block ends every open request and raises the first error that `handle` raised.

    Args:
        exchange: What to serve.
        port: Zero for any free one; a number to come back where an earlier server was.
    """

    def __init__(self, exchange: StrictExchange, *, port: int = 0) -> None:
        self.exchange = exchange
        self.port = port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: list[Exception] = []

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        if self._failures and exc_info[0] is None:
            raise self._failures[0]

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._talk(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        try:
            while (received := await _receive(connection, reader)) is not None:
                reply = await self._reply(received)
                if reply is None:
                    break
                head = {**reply.headers, "content-length": str(len(reply.body))}
                for event in (
                    h11.Response(status_code=reply.status, headers=list(head.items())),
                    h11.Data(data=reply.body),
                    h11.EndOfMessage(),
                ):
                    writer.write(connection.send(event) or b"")
                await writer.drain()
                if connection.our_state is not h11.DONE:
                    break
                connection.start_next_cycle()
        except asyncio.CancelledError:
            writer.transport.abort()
            raise
        except (ConnectionError, h11.RemoteProtocolError):
            pass  # the client went away or does not speak HTTP
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _reply(self, received: Received) -> Reply | None:
        try:
            return await self.exchange.answer(received)
        except Exception as error:
            self._failures.append(error)
            return Reply(500, repr(error).encode(), {"content-type": "text/plain"})


async def _receive(connection: h11.Connection, reader: asyncio.StreamReader) -> Received | None:
    request: h11.Request | None = None
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and request is not None:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers}
            return Received(request.method.decode(), request.target.decode("latin-1"), headers, body)
        else:
            return None
