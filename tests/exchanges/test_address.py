"""Which address exchanges see, told without sending anything."""

from __future__ import annotations

import socket

import pytest

from bot.config import ExchangeSettings
from bot.exchanges import address
from bot.exchanges.address import Addresses, addresses, is_private, outgoing_address

PUBLIC, PRIVATE = "93.184.216.34", "192.168.1.5"
ADVICE = (
    ": an exchange sees the public address of your router or provider instead. Read that one in the provider's panel"
    " or on the router's status page, and enter it at the exchange."
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every use of a socket, which is told the machine's address, or has no route for the families in the list."""
    calls: list[object] = []

    class Socket:
        def __init__(self, family: int, kind: int) -> None:
            self.family = family
            calls.append(("open", family, kind))

        def __enter__(self) -> Socket:
            return self

        def __exit__(self, *_: object) -> None:
            calls.append("close")

        def connect(self, elsewhere: tuple[str, int]) -> None:
            calls.append(("connect", elsewhere[0]))
            if ("no route", self.family) in calls:
                raise OSError(101, "Network is unreachable")

        def getsockname(self) -> tuple[str, int]:
            return (PRIVATE if self.family == socket.AF_INET else "2a00::5"), 40000

    monkeypatch.setattr(socket, "socket", Socket)
    return calls


def test_outgoing_address_is_that_of_the_route_and_nothing_is_sent(asked: list[object]) -> None:
    """A datagram socket is pointed at an address that belongs to nobody, read, and closed."""
    found = outgoing_address()
    assert (found, asked) == (
        PRIVATE,
        [("open", socket.AF_INET, socket.SOCK_DGRAM), ("connect", "192.0.2.1"), "close"],
    )


def test_outgoing_address_without_ipv4_is_the_other_one(asked: list[object]) -> None:
    """A machine that has only the newer protocol is told that address."""
    asked.append(("no route", socket.AF_INET))
    assert outgoing_address() == "2a00::5"


def test_outgoing_address_without_a_route_is_none(asked: list[object]) -> None:
    """A machine that is not connected has none, and every socket is closed."""
    asked += [("no route", socket.AF_INET), ("no route", socket.AF_INET6)]
    assert (outgoing_address(), asked.count("close")) == (None, 2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PUBLIC, False),
        ("2a00:1450:4001::1", False),
        (PRIVATE, True),
        ("10.0.0.9", True),
        ("172.31.0.1", True),
        ("100.64.3.2", True),  # shared by the customers of a provider
        ("127.0.0.1", True),
        ("169.254.1.1", True),
        ("fe80::1%eth0", True),
        ("fd00::1", True),
        ("gateway.example", False),
    ],
)
def test_address_is_private_where_others_see_another(text: str, expected: bool) -> None:
    """Home, cloud and provider networks are private; a name says nothing."""
    assert is_private(text) is expected


@pytest.mark.parametrize(
    ("usual", "sections", "expected"),
    [
        (PUBLIC, {"Acme": {}}, Addresses((f"This server sends from {PUBLIC}.",), (PUBLIC,))),
        (None, {}, Addresses(("This server has no way to the internet.",), ())),
        (
            PRIVATE,
            {"Acme": {"local_address": PUBLIC}},
            Addresses(
                (
                    f"This server sends from {PRIVATE}.",
                    f"Acme: from {PUBLIC}.",
                    f"{PRIVATE} is a private address{ADVICE}",
                ),
                (PUBLIC,),
            ),
        ),
        (
            PRIVATE,
            {"Zeta": {"local_address": PRIVATE}, "Acme": {"local_address": "10.0.0.9"}},
            Addresses(
                (
                    f"This server sends from {PRIVATE}.",
                    "Acme: from 10.0.0.9.",
                    f"Zeta: from {PRIVATE}.",
                    f"{PRIVATE}, 10.0.0.9 are private{ADVICE}",
                ),
                (),
            ),
        ),
        (
            PUBLIC,
            {"Acme": {"proxy": "http://user:word@proxy.example", "local_address": "10.0.0.9"}},
            Addresses(
                (f"This server sends from {PUBLIC}.", "Acme: through a proxy. Enter the proxy's address there."),
                (PUBLIC,),
            ),
        ),
    ],
)
def test_addresses_tell_each_exchange_that_sees_another(
    monkeypatch: pytest.MonkeyPatch, usual: str | None, sections: dict[str, dict[str, str]], expected: Addresses
) -> None:
    """Only addresses that exchanges see as they are can be copied; a proxy's password is not shown."""
    monkeypatch.setattr(address, "outgoing_address", lambda: usual)
    assert addresses({name: ExchangeSettings(**section) for name, section in sections.items()}) == expected  # type: ignore[arg-type]
