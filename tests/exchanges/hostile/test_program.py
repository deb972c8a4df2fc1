"""A plugin that asks without end, ends the program, or lets the secret out."""

from __future__ import annotations

import asyncio
import base64
import io
import logging
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from bot import Credentials, Flow, OutcomeUnknown, Request, Response, hookimpl
from bot.contract.errors import PluginError
from bot.redact import RedactingFormatter, redactor
from tests.exchanges.acme import ACCOUNT, BALANCES, CANARY, Acme, place, reply, rig
from tests.exchanges.hostile.conftest import Check, asks, proof, told

CONTAINED: dict[str, Check] = {}
contained = partial(proof, CONTAINED)


@contained("asks without end")
async def _(directory: Path) -> None:
    on = rig(reply())
    with pytest.raises(PluginError, match="more than 20 requests"):
        await on.read(asks(*[BALANCES] * 21))
    assert len(on.wire.sent) == 20


@contained("asks on after thirty seconds")
async def _(directory: Path) -> None:
    def slow(_: Request) -> Response:
        on.clock.advance(11)
        return reply()

    on = rig(slow)
    with pytest.raises(PluginError, match="asked on after 30 seconds"):
        await on.read(asks(*[BALANCES] * 20))
    assert len(on.wire.sent) == 3
    with pytest.raises(OutcomeUnknown, match=r"took the order, then: .* asked on after 30 seconds"):
        await on.place(asks(place(), *[BALANCES] * 5))


@contained("recurses without end")
async def _(directory: Path) -> None:
    def deeper() -> Flow[None]:
        return (yield from deeper())

    nested: dict[str, Any] = {}
    nested["again"] = nested
    for flow in (deeper(), asks(Request.post("/v1/orders", nested))):
        on = rig()
        with pytest.raises(PluginError, match="plugin failed"):
            await on.read(flow)
        assert on.wire.sent == []


class Quits(BaseException):
    """Of no family that anybody catches by accident."""


ENDS = [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit(), Quits()]


@contained("ends the program, or the task, from any hook")
async def _(directory: Path) -> None:
    for end in ENDS:
        await _ends_itself_alone(end)


async def _ends_itself_alone(end: BaseException) -> None:
    def crash(*_: object) -> Any:
        raise end

    def flow() -> Flow[None]:
        crash()
        yield BALANCES

    class InCall(Acme):
        balances = ticker = hookimpl(lambda self: crash())  # type: ignore[assignment]

    class InSign(Acme):
        sign = hookimpl(lambda self: crash())  # type: ignore[assignment]

    class InMapping(Acme):
        map_error = hookimpl(lambda self: crash())  # type: ignore[assignment]

    class InInfo(Acme):
        exchange_info = hookimpl(lambda self: crash())  # type: ignore[assignment]

    class InConfigure(Acme):
        configure = hookimpl(lambda self: crash())

    with pytest.raises(PluginError, match="plugin failed"):
        await rig().read(flow())
    with pytest.raises(PluginError, match="plugin failed"):
        rig(plugin=InCall()).transport.flow("balances", account=ACCOUNT)
    with pytest.raises(PluginError, match="plugin failed"):
        await rig(plugin=InSign()).read(asks(BALANCES))
    with pytest.raises(OutcomeUnknown):
        await rig(plugin=InMapping()).place()
    assert "exchange_info failed" in told(InInfo())["p0"]
    assert "configure failed" in told(InConfigure())["p0"]


@contained("writes the secret to the log, in any of ten encodings")
async def _(directory: Path) -> None:
    secret = 'the "secret" of Ann+Bob/7'
    encoded = secret.encode()
    forms = [
        secret,
        quote(secret, safe=""),
        encoded.hex(),
        encoded.hex().upper(),
        repr(encoded),
        base64.b64encode(encoded).decode(),
        base64.b64encode(b"x" + encoded).decode(),
        base64.b64encode(b"xx" + encoded).decode(),
        base64.urlsafe_b64encode(encoded).decode(),
        secret.replace('"', '\\"'),
    ]
    redactor.register(secret)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(RedactingFormatter())
    log = logging.Logger("tradewire_acme")
    log.addHandler(handler)
    for form in forms:
        log.warning("here it is: %s", form)
    lines = stream.getvalue().splitlines()
    assert len(lines) == len(forms)
    assert [form for form, line in zip(forms, lines, strict=True) if form[4:-4] in line] == []


@contained("puts the secret into an error")
async def _(directory: Path) -> None:
    class Tells(Acme):
        @hookimpl
        def sign(self, request: Request, credentials: Credentials, timestamp: int) -> Request:
            raise ValueError(credentials.secret.reveal())

    with pytest.raises(PluginError) as raised:
        await rig(plugin=Tells()).read(asks(BALANCES))
    assert CANARY not in str(raised.value)


@contained("wants the keys in a call that has no account")
async def _(directory: Path) -> None:
    on = rig()
    with pytest.raises(PluginError, match="asked for a signature in a call that has no account"):
        await on.transport.run(asks(BALANCES))
    assert (on.wire.sent, on.opened) == ([], 0)


@pytest.mark.parametrize("behaviour", CONTAINED)
async def test_hostile_plugin_is_contained(behaviour: str, tmp_path: Path) -> None:
    """What the plugin tries has no effect outside its own exchange, and ends in a sentence."""
    await CONTAINED[behaviour](tmp_path)
