"""The transport of kept connections, against servers that answer as written here, byte by byte."""

from __future__ import annotations

import asyncio
import datetime
import gzip
import itertools
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.exchanges.connections import FRESH_SECONDS, Connections, Server, _Connection

pytestmark = pytest.mark.network
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
PLAIN = ssl.create_default_context()


class Scripted:
    """Answers each request of a connection with the next of its scripts; `None` closes instead."""

    def __init__(self, *answers: bytes | None, again: bool = True) -> None:
        self.answers = answers
        self.again = again
        self.heard: list[tuple[int, bytes]] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.origin = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self.writers)
        self.writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                body = await reader.readexactly(int(length[0].split(b":")[1]) if length else 0)
                self.heard.append((number, head + body))
                turn = len(self.heard) - 1
                answer = self.answers[turn] if turn < len(self.answers) else OK
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
                if not self.again:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(server: Scripted, context: ssl.SSLContext | None = None) -> AsyncIterator[Scripted]:
    running = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
    async with running:
        port = running.sockets[0].getsockname()[1]
        server.origin = f"{'https' if context else 'http'}://localhost:{port}"
        try:
            yield server
        finally:
            for writer in server.writers:
                writer.close()


def ask(server: Scripted, *, order: bool = False, seconds: float = 5, content: bytes = b"") -> httpx.Request:
    limits = {"connect": seconds, "read": seconds, "pool": seconds}
    extensions = {"target": b"/a?b=%2F", "fresh": order, "timeout": limits}
    return httpx.Request("POST" if order else "GET", server.origin, content=content, extensions=extensions)


class Cancelled:
    """Equals any cancellation."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, asyncio.CancelledError)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # what is waited for has no event of its own
        await asyncio.sleep(0)


async def told(answer: bytes, *, again: bool = True) -> tuple[int, bytes]:
    async with serving(Scripted(answer, again=again)) as server:
        connections = Connections(PLAIN)
        reply = await connections.handle_async_request(ask(server))
        await connections.aclose()
        return reply.status_code, reply.content


async def test_request_is_sent_as_it_was_given() -> None:
    """Target, headers and body reach the server byte for byte."""
    async with serving(Scripted()) as server:
        connections = Connections(PLAIN)
        reply = await connections.handle_async_request(ask(server, order=True, content='{"a":"ü"}'.encode()))
        await connections.aclose()
    host = server.origin.removeprefix("http://").encode()
    assert server.heard == [
        (0, b'POST /a?b=%%2F HTTP/1.1\r\nHost: %b\r\nContent-Length: 10\r\n\r\n{"a":"\xc3\xbc"}' % host)
    ]
    assert (reply.status_code, reply.headers["content-length"], reply.content) == (200, "2", b"{}")


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nX-Late: 1\r\n\r\n", b"abc"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 23\r\n\r\n" + gzip.compress(b"abc"), b"abc"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
    ],
    ids=["chunked", "gzip", "204", "100", "103"],
)
async def test_reply_of_each_framing_is_whole_and_keeps_the_connection(answer: bytes, body: bytes) -> None:
    """However the end of a reply is told, the next request uses the same connection."""
    async with serving(Scripted(answer)) as server:
        connections = Connections(PLAIN)
        first = await connections.handle_async_request(ask(server))
        await connections.handle_async_request(ask(server))
        await connections.aclose()
    assert (first.content, "x-late" in first.headers, [number for number, _ in server.heard]) == (body, False, [0, 0])


async def test_reply_without_a_length_ends_with_the_connection() -> None:
    """HTTP allows it where the server closes; the whole of it is the body."""
    assert await told(b"HTTP/1.1 200 OK\r\n\r\nabc", again=False) == (200, b"abc")


@pytest.mark.parametrize(
    "answer",
    [
        OK.replace(b"1.1", b"1.0"),
        OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        OK + OK,
        OK + b"HTTP/1.1 2",
        OK + b"garbage",
    ],
    ids=["1.0", "close", "two answers", "half an answer more", "garbage behind"],
)
async def test_connection_that_cannot_be_trusted_is_not_used_again(answer: bytes) -> None:
    """An answer to a question nobody asked would be taken for the answer to the next one."""
    async with serving(Scripted(answer)) as server:
        connections = Connections(PLAIN)
        found = [(await connections.handle_async_request(ask(server))).content for _ in range(2)]
        await connections.aclose()
    assert (found, [number for number, _ in server.heard]) == ([b"{}", b"{}"], [0, 1])


async def test_connection_in_use_counts_whether_it_is_new_or_kept() -> None:
    """Otherwise more would be opened than a server takes."""
    async with serving(Scripted(OK, b"")) as server:
        connections = Connections(PLAIN)
        await connections.handle_async_request(ask(server))
        place = connections.server(httpx.URL(server.origin))
        before = place.in_use, len(place.kept)
        asking = asyncio.create_task(connections.handle_async_request(ask(server)))
        await until(lambda: len(server.heard) == 2)
        during = place.in_use, len(place.kept)
        server.writers[0].write(OK)
        await asking
        after = place.in_use, len(place.kept)
        await connections.aclose()
    assert (before, during, after) == ((0, 1), (1, 0), (0, 1))


async def test_connection_that_speaks_unasked_is_not_used_again() -> None:
    """What a server says between two requests belongs to neither."""
    async with serving(Scripted()) as server:
        connections = Connections(PLAIN)
        await connections.handle_async_request(ask(server))
        server.writers[0].write(OK)
        await server.writers[0].drain()
        kept = next(iter(connections._servers.values())).kept
        await until(lambda: not kept[-1].is_idle)
        await connections.handle_async_request(ask(server))
        await connections.aclose()
    assert [number for number, _ in server.heard] == [0, 1]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
    ],
    ids=["no answer", "half a body", "half of the chunks", "half a head", "garbage", "two lengths", "length and chunks",
         "upgrade", "endless head"],
)  # fmt: skip
async def test_answer_that_cannot_be_read_whole_is_a_doubt(answer: bytes | None) -> None:
    """The request left: such an error must be none of those that prove the opposite."""
    with pytest.raises(httpx.RemoteProtocolError):
        await told(answer or b"", again=False) if answer is not None else await _closed()


async def _closed() -> None:
    async with serving(Scripted(None)) as server:
        await Connections(PLAIN).handle_async_request(ask(server))


async def test_large_answer_that_begins_with_its_head_is_read() -> None:
    """A list of markets comes in few large pieces; only the head has a small limit."""
    body = b"a" * 300_000
    assert await told(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + body) == (200, body)


async def test_answer_too_large_is_a_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body without end must not fill the memory."""
    monkeypatch.setattr("bot.exchanges.connections._LARGEST_BODY", 100)
    with pytest.raises(httpx.RemoteProtocolError, match="body is too large"):
        await told(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n" + b"a" * 200)


async def test_answer_that_does_not_come_is_a_read_timeout_and_ends_the_connection() -> None:
    """A late answer must not become the answer to the next request."""
    async with serving(Scripted(b"", OK)) as server:
        connections = Connections(PLAIN)
        with pytest.raises(httpx.ReadTimeout):
            await connections.handle_async_request(ask(server, order=True, seconds=0.05))
        await connections.handle_async_request(ask(server))
        await connections.aclose()
    assert [number for number, _ in server.heard] == [0, 1]


class HandClock:
    """The part of a loop that a connection uses, with a time that tests turn."""

    def __init__(self) -> None:
        self.now = 0.0
        self.alarms: list[tuple[float, Callable[[], None]]] = []
        self.create_future = asyncio.get_running_loop().create_future

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, ring: Callable[[], None]) -> HandClock.Alarm:
        self.alarms.append((when, ring))
        return HandClock.Alarm(self, self.alarms[-1])

    def pass_to(self, now: float) -> None:
        self.now = now
        for alarm in [each for each in self.alarms if each[0] <= now]:
            self.alarms.remove(alarm)
            alarm[1]()

    class Alarm:
        def __init__(self, clock: HandClock, alarm: tuple[float, Callable[[], None]]) -> None:
            self.when = lambda: alarm[0]
            self.cancel = lambda: clock.alarms.remove(alarm) if alarm in clock.alarms else None


async def test_each_request_is_given_its_own_time_by_one_alarm() -> None:
    """Shorter or longer than the one before: a late answer is given up at its own end, and no other before."""
    connection = _Connection(lambda: 0.0)
    clock = connection._loop = HandClock()  # type: ignore[assignment]
    connection.connection_made(Paper())
    connection.ask(b"", 15)
    clock.pass_to(1)
    connection.data_received(OK)
    connection.ask(b"", 5)
    assert [when for when, _ in clock.alarms] == [6]
    clock.pass_to(2)
    connection.data_received(OK)
    late = connection.ask(b"", 15)
    clock.pass_to(6)
    clock.pass_to(16.9)
    assert (late.done(), connection.is_idle, len(clock.alarms)) == (False, False, 1)
    clock.pass_to(17)
    assert (repr(late.exception()), clock.alarms) == ("ReadTimeout('the server did not answer in time')", [])


async def test_alarm_of_a_connection_at_rest_or_closed_does_nothing() -> None:
    """It outlives its request; the connection is as good as before, and a closed one keeps no alarm."""
    connection = _Connection(lambda: 0.0)
    clock = connection._loop = HandClock()  # type: ignore[assignment]
    connection.connection_made(Paper())
    connection.ask(b"", 5)
    connection.data_received(OK)
    clock.pass_to(5)
    assert (connection.is_idle, clock.alarms) == (True, [])
    connection.ask(b"", None)
    connection.data_received(OK)
    connection.ask(b"", 5)
    connection.close()
    assert clock.alarms == []


async def test_cancelled_request_ends_its_connection() -> None:
    """Whoever stops waiting leaves an answer on its way."""
    async with serving(Scripted(b"", OK)) as server:
        connections = Connections(PLAIN)
        task = asyncio.create_task(connections.handle_async_request(ask(server)))
        await until(lambda: bool(server.heard))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert list(connections.server(httpx.URL(server.origin)).kept) == []
        await connections.handle_async_request(ask(server))
        await connections.aclose()
    assert [number for number, _ in server.heard] == [0, 1]


async def test_connection_refused_never_left() -> None:
    """The class of the error is the proof."""
    async with serving(Scripted()) as server:
        pass
    with pytest.raises(httpx.ConnectError):
        await Connections(PLAIN).handle_async_request(ask(server))


@pytest.mark.parametrize(("age", "numbers"), [(FRESH_SECONDS, [0, 0]), (FRESH_SECONDS + 0.1, [0, 1])])
async def test_order_takes_only_a_connection_that_answered_a_moment_ago(age: float, numbers: list[int]) -> None:
    """An older one may be closed by the server just then, and the order would be in doubt for nothing."""
    now = 100.0
    async with serving(Scripted()) as server:
        connections = Connections(PLAIN, monotonic=lambda: now)
        await connections.handle_async_request(ask(server))
        now += age
        await connections.handle_async_request(ask(server, order=True))
        await connections.aclose()
    assert [number for number, _ in server.heard] == numbers


async def test_read_takes_an_older_connection_and_none_past_its_time() -> None:
    """Reads can be repeated, so a kept connection is good for longer; one day it is closed."""
    now = 100.0
    async with serving(Scripted()) as server:
        connections = Connections(PLAIN, monotonic=lambda: now)
        for age in (0, 40, 60):
            now += age
            await connections.handle_async_request(ask(server))
        await connections.aclose()
    assert [number for number, _ in server.heard] == [0, 0, 1]


async def test_connection_the_server_closed_is_passed_over() -> None:
    """Found closed before a byte was written, it proves nothing and costs nothing: another one is taken."""
    async with serving(Scripted()) as server:
        connections = Connections(PLAIN)
        await connections.handle_async_request(ask(server))
        server.writers[0].close()
        kept = next(iter(connections._servers.values())).kept
        await until(lambda: not kept[-1].is_idle)
        reply = await connections.handle_async_request(ask(server, order=True))
        await connections.aclose()
    assert (reply.status_code, [number for number, _ in server.heard]) == (200, [0, 1])


async def test_warm_connection_carries_the_first_order() -> None:
    """The handshake happened while the person was still reading."""
    async with serving(Scripted()) as server:
        connections = Connections(PLAIN)
        await connections.warm(httpx.URL(server.origin), 5)
        await until(lambda: bool(server.writers))
        await connections.handle_async_request(ask(server, order=True))
        await connections.aclose()
    assert (len(server.writers), len(server.heard)) == (1, 1)


async def test_request_cancelled_while_it_connects_leaves_no_open_socket() -> None:
    """At whichever step: a socket that nobody holds stays open until Python happens to find it."""
    async with serving(Scripted()) as server:
        before = _sockets()
        for steps in range(40):
            connections = Connections(PLAIN)
            asking = asyncio.create_task(connections.handle_async_request(ask(server)))
            for _ in range(steps):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait([asking])
            await connections.aclose()
        await until(lambda: _sockets() == before)


def _sockets() -> int:
    return sum(link.is_socket() for link in Path("/proc/self/fd").iterdir())


async def test_many_at_once_share_the_connections_in_turn() -> None:
    """A thousand requests over five connections: all are answered, first come first served, none fails."""
    async with serving(Scripted()) as server:
        connections = Connections(PLAIN, most=5)
        ended: list[int] = []

        async def one(number: int) -> None:
            await connections.handle_async_request(ask(server))
            ended.append(number)

        await asyncio.gather(*(one(number) for number in range(1000)))
        await connections.aclose()
    assert (len(server.writers), sorted(ended)) == (5, list(range(1000)))
    assert all(abs(place - number) < 10 for place, number in enumerate(ended))


async def test_waiting_too_long_for_a_connection_never_left() -> None:
    """And whoever gives up leaves the place to the next."""
    async with serving(Scripted(b"")) as server:
        connections = Connections(PLAIN, most=1)
        first = asyncio.create_task(connections.handle_async_request(ask(server)))
        await until(lambda: bool(server.heard))
        with pytest.raises(httpx.PoolTimeout):
            await connections.handle_async_request(ask(server, seconds=0.01))
        third = asyncio.create_task(connections.handle_async_request(ask(server)))
        await asyncio.sleep(0)
        server.writers[0].write(OK)
        assert [(await each).status_code for each in (first, third)] == [200, 200]
        await connections.aclose()


async def test_place_given_to_one_who_was_cancelled_goes_to_the_next() -> None:
    """Otherwise each request cancelled at that moment would cost a connection for ever."""
    server = Server(("http", "localhost", 1))
    server.in_use = 1
    waiting = [asyncio.create_task(server.turn(None)) for _ in range(2)]
    await asyncio.sleep(0)
    server.hand_on(None)
    waiting[0].cancel()
    assert await asyncio.gather(*waiting, return_exceptions=True) == [Cancelled(), None]


async def test_place_given_to_the_last_who_was_cancelled_is_free_again() -> None:
    """With nobody left to take it."""
    server = Server(("http", "localhost", 1))
    server.in_use = 1
    waiting = asyncio.create_task(server.turn(None))
    await asyncio.sleep(0)
    server.hand_on(None)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert server.in_use == 0


async def test_connection_given_to_the_last_who_was_cancelled_is_closed_once_all_are() -> None:
    """Nobody would close it later: the others were closed already."""
    async with serving(Scripted()) as server:
        connections = Connections(PLAIN, most=1)
        place = connections.server(httpx.URL(server.origin))
        connection = await connections._acquire(place, {"connect": 5})
        waiting = asyncio.create_task(place.turn(None))
        await asyncio.sleep(0)
        place.hand_on(connection)
        await connections.aclose()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert (place.in_use, len(place.kept), connection.is_idle) == (0, 0, False)


async def test_failed_connection_leaves_its_place() -> None:
    """An exchange that is down for a while is not lost for ever."""
    async with serving(Scripted()) as server:
        pass
    connections = Connections(PLAIN, most=1)
    for _ in range(2):
        with pytest.raises(httpx.ConnectError):
            await connections.handle_async_request(ask(server, seconds=0.5))


@pytest.mark.parametrize(
    "request_",
    [
        httpx.Request("HEAD", "http://localhost:1"),
        httpx.Request("GET", "ftp://localhost:1"),
    ],
    ids=["HEAD", "ftp"],
)
async def test_request_of_an_unknown_kind_never_left(request_: httpx.Request) -> None:
    with pytest.raises(httpx.UnsupportedProtocol):
        await Connections(PLAIN).handle_async_request(request_)


@pytest.mark.parametrize("target", [b"/a b", b"/a\rX:1", b"/a\nX:1"])
async def test_target_that_would_break_the_request_is_not_sent(target: bytes) -> None:
    """One line is one line: nobody smuggles a second request in the first."""
    request = httpx.Request("GET", "http://localhost:1", extensions={"target": target})
    with pytest.raises(httpx.LocalProtocolError):
        await Connections(PLAIN).handle_async_request(request)


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost that vouches for itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    day = datetime.timedelta(days=1)
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def _serving_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def test_server_with_a_known_certificate_is_spoken_to(certificate: Path) -> None:
    async with serving(Scripted(), _serving_tls(certificate)) as server:
        connections = Connections(ssl.create_default_context(cafile=certificate))
        replies = [await connections.handle_async_request(ask(server)) for _ in range(2)]
        await connections.aclose()
    assert ([each.status_code for each in replies], [number for number, _ in server.heard]) == ([200, 200], [0, 0])


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
async def test_server_that_cannot_prove_its_name_is_sent_nothing(certificate: Path, name: str) -> None:
    """Neither a certificate nobody vouches for, nor one of another name."""
    knows = {} if name == "localhost" else {"cafile": certificate}
    async with serving(Scripted(), _serving_tls(certificate)) as server:
        server.origin = server.origin.replace("localhost", name)
        with pytest.raises(httpx.ConnectError):
            await Connections(ssl.create_default_context(**knows)).handle_async_request(ask(server, order=True))
    assert server.heard == []


# Any cut


class Paper(asyncio.Transport):
    """A transport that goes nowhere."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def abort(self) -> None:
        pass


REPLIES: Sequence[tuple[bytes, bytes]] = (
    (OK, b"{}"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n5\r\nabcde\r\n3\r\nfgh\r\n0\r\n\r\n", b"abcdefgh"),
    (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"{}"),
)


@settings(deadline=None, max_examples=200)
@given(reply=st.sampled_from(REPLIES), cuts=st.lists(st.integers(0, 90)))
def test_reply_cut_anywhere_reads_the_same(reply: tuple[bytes, bytes], cuts: list[int]) -> None:
    """The network may deliver any pieces; what they say together is what counts."""
    sent, body = reply
    edges = [0, *sorted({min(cut, len(sent)) for cut in cuts}), len(sent)]

    async def read() -> tuple[int, bytes, bool]:
        connection = _Connection(lambda: 0.0)
        connection.connection_made(Paper())
        task = connection.ask(b"", None)
        await asyncio.sleep(0)
        for start, end in itertools.pairwise(edges):
            if start != end:
                connection.get_buffer(-1)[: end - start] = sent[start:end]
                connection.buffer_updated(end - start)
        status, _, content = await task
        return status, content, connection.is_idle

    assert _run(read) == (200, body, True)


def _run(work: Callable[[], object]) -> object:
    return asyncio.run(work())  # type: ignore[arg-type]
