"""Not a byte to a host that the plugin did not declare: 200 attempts, each answer a redirect, proxies in all variables.

The dialling itself is replaced: it notes where a connection was wanted and what was written to it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest

from bot import ClientId, ExchangeError, Flow, Request, Response, hookimpl
from bot.contract.errors import BotError
from bot.exchanges import registry
from bot.exchanges.http import HttpWire
from bot.exchanges.registry import Plugin
from bot.exchanges.transport import Transport
from tests.trading.conftest import Acme, FakeClock

HOST = "api.acme.example"
PLACES = (
    "evil.example",
    "EVIL.example",
    "evil.example:443",
    "evil.example.",
    "127.0.0.1",
    "127.1",
    "0x7f000001",
    "2130706433",
    "0177.0.0.1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "localhost",
    "169.254.169.254",
    "metadata.google.internal",
    f"{HOST}@evil.example",
    f"{HOST}.evil.example",
    "evil.example#",
    "evil.example%2f..",
    "\u0435vil.example",
    "xn--vil-xmc.example",
)
WAYS: dict[str, Callable[[str], Request]] = {
    "as the path": lambda place: Request.get(place, auth="none"),
    "as an address": lambda place: Request.get(f"https://{place}/v1", auth="none"),
    "after a slash": lambda place: Request.get(f"/{place}", auth="none"),
    "after two slashes": lambda place: Request.get(f"//{place}/v1", auth="none"),
    "after a sign": lambda place: Request.get(f"/v1@{place}/x", auth="none"),
    "after a backslash": lambda place: Request.get(f"/\\{place}/v1", auth="none"),
    "in another request": lambda place: Request.get(f"/v1 HTTP/1.1\r\nHost: {place}\r\n\r\nGET /x", auth="none"),
    "as the host": lambda place: Request.get("/v1", auth="none", host=place),
    "as a header": lambda place: Request.get("/v1", auth="none", headers={"Host": place}),
    "in a header": lambda place: Request.get("/v1", auth="none", headers={"X-A": f"1\r\nHost: {place}"}),
}
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@dataclass
class Wanted(asyncio.Transport):
    """A connection that leads nowhere and answers everything with a redirect.

    Attributes:
        hosts: Where connections were wanted.
        written: What was written, request by request.
    """

    hosts: list[str] = field(default_factory=list)
    written: list[bytes] = field(default_factory=list)
    protocol: Any = None
    elsewhere: bytes = b"https://evil.example/v1"

    def __post_init__(self) -> None:
        super().__init__()

    async def dial(self, host: str, *_: Any) -> None:
        self.hosts.append(host)

    async def connect(self, factory: Callable[[], Any], **_: Any) -> tuple[Wanted, Any]:
        self.protocol = factory()
        self.protocol.connection_made(self)
        return self, self.protocol

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))
        reply = b"HTTP/1.1 307 Moved\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % self.elsewhere
        asyncio.get_running_loop().call_soon(self.protocol.data_received, reply)

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


class Loose(Acme):
    """A plugin that may ask for any path of one or two parts."""

    def __init__(self) -> None:
        super().__init__(absence_seconds=None, client_id=ClientId())
        self.info = replace(self.info, hosts={"api": f"https://{HOST}"}, paths=("GET /*", "GET /*/*"))

    @hookimpl
    def map_error(self, response: Response) -> ExchangeError | None:
        return None


def flow(request: Request) -> Flow[Response]:
    return (yield request)


@pytest.fixture
async def wanted(monkeypatch: pytest.MonkeyPatch) -> Wanted:
    """What the process dials, with a proxy in each variable that programs look at."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "http://evil.example:3128")
    wanted = Wanted()
    monkeypatch.setattr("bot.exchanges.connections.dial", wanted.dial)
    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", wanted.connect)
    return wanted


def is_clean(message: bytes) -> bool:
    """Say whether bytes are one GET to our host, and nothing else."""
    head, _, rest = message.partition(b"\r\n\r\n")
    hosts = re.findall(rb"(?im)^host:[ \t]*(\S*)\r?$", head)
    return hosts == [HOST.encode()] and rest == b"" and re.match(rb"GET /[!-~]* HTTP/1\.1\r\n", head) is not None


@pytest.mark.parametrize("way", WAYS)
async def test_request_for_another_host_never_gets_there(wanted: Wanted, way: str) -> None:
    """Through the whole transport: the bytes that leave are one plain request to the declared host, or none leave."""
    registered = registry.register(Plugin("acme", Loose()))
    wire = HttpWire("Acme", registered.info.hosts)
    transport = Transport(registered.info, registered.hook, wire, FakeClock())
    outcomes = []
    for place in PLACES:
        try:
            outcomes.append((await transport.run(flow(WAYS[way](place)))).status)
        except BotError:
            outcomes.append(0)
    await transport.close()
    assert (set(wanted.hosts) <= {HOST}, [each for each in wanted.written if not is_clean(each)]) == (True, [])
    assert len(wanted.written) == sum(map(bool, outcomes))


@pytest.mark.parametrize("way", WAYS)
async def test_wire_alone_sends_nothing_to_another_host(wanted: Wanted, way: str) -> None:
    """The second wall: what no allow-list looked at cannot leave for elsewhere either."""
    wire = HttpWire("Acme", {"api": f"https://{HOST}"})
    for place in PLACES:
        request = msgspec.structs.replace(WAYS[way](place), host="api")
        headers = {name: text for name, text in request.headers.items() if name != "Host"}
        request = msgspec.structs.replace(request, headers=headers)
        try:
            await wire.send(request, timeout_seconds=1)
        except BotError:
            continue
    await wire.close()
    assert (set(wanted.hosts) <= {HOST}, [each for each in wanted.written if not is_clean(each)]) == (True, [])


@pytest.mark.parametrize("elsewhere", [b"https://evil.example/", b"//evil.example/", b"/v2", b"http://127.0.0.1/"])
async def test_redirect_is_an_answer_and_not_followed(wanted: Wanted, elsewhere: bytes) -> None:
    """One request, one answer: an order would otherwise be posted again, and elsewhere."""
    wanted.elsewhere = elsewhere
    wire = HttpWire("Acme", {"api": f"https://{HOST}"})
    reply = await wire.send(Request.post("/v1/orders", {"a": 1}, places=True), timeout_seconds=1)
    await wire.close()
    assert (reply.status, wanted.hosts, len(wanted.written)) == (307, [HOST], 1)


async def test_ordinary_request_is_written_to_the_declared_host(wanted: Wanted) -> None:
    """The dialling that is replaced here is the one that is used."""
    wire = HttpWire("Acme", {"api": f"https://{HOST}"})
    await wire.send(Request.get("/v1/time"), timeout_seconds=1)
    await wire.close()
    assert (wanted.hosts, list(map(is_clean, wanted.written))) == ([HOST], [True])


def test_corpus_has_two_hundred_cases() -> None:
    """Twenty places, ten ways to smuggle each in."""
    assert len(set(PLACES)) * len(WAYS) == 200


@pytest.mark.parametrize(
    "message",
    [
        b"GET /x HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: api.acme.example\r\nHost: evil.example\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: api.acme.example\r\n\r\nGET /y HTTP/1.1\r\n\r\n",
        b"GET https://evil.example/ HTTP/1.1\r\nHost: api.acme.example\r\n\r\n",
        b"GET /x HTTP/1.1\r\n\r\n",
    ],
)
def test_look_at_bytes_notices_what_is_not_clean(message: bytes) -> None:
    """Control: a second host, a second request and another address are seen."""
    assert not is_clean(message)
