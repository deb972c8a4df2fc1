"""No secret in any log line, database byte, message or repr, whatever goes wrong; and the redactor is why."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from telegram import Bot

from bot.chat.reply import Reply, Sender
from bot.chat.text import Text
from bot.redact import RedactingFormatter
from tests.e2e.conftest import ANN, KEY, TOKEN, Desk, neighbours

pytestmark = pytest.mark.network
_LOUD = ("", "httpx", "httpcore", "telegram", "telegram.ext", "bot", "asyncio")


@pytest.fixture
def logs() -> Iterator[tuple[io.StringIO, io.StringIO]]:
    """Everything that any library logs at DEBUG: once through our formatter, once without it."""
    redacted, raw = io.StringIO(), io.StringIO()
    handlers = [logging.StreamHandler(redacted), logging.StreamHandler(raw)]
    handlers[0].setFormatter(RedactingFormatter())
    levels = {name: logging.getLogger(name).level for name in _LOUD}
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.DEBUG)
    for handler in handlers:
        logging.getLogger().addHandler(handler)
    yield redacted, raw
    for handler in handlers:
        logging.getLogger().removeHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


async def _story(desk: Desk) -> None:
    """Connect, trade, and run into every kind of trouble."""
    await desk.start()
    desk.say("/connect bitget")
    await desk.see("API key")
    desk.say("\n".join(KEY[name] for name in ("key", "secret", "passphrase")))
    await desk.see("Connected Bitget·main")
    for fault in ("drop_after", "error_after", "garbage", "refuse:40009", "refuse:43012"):
        desk.exchange.misbehave(fault, "place-order")
        await desk.preview("/buy BTC/USDT 0.001 @ 50000")
        desk.press("Confirm")
        await desk.see("Accepted" if fault in ("drop_after", "error_after", "garbage") else "Refused")
        if "refuse" not in fault:
            desk.press("Cancel order")
            await desk.see("✖ Canceled", f"#{len(desk.exchange.orders())}")
    desk.exchange.misbehave("garbage", "assets", times=9)
    desk.say("/balance")
    await desk.see("unreadable")
    desk.say("/status")
    await desk.see("last trouble")
    await desk.end()


async def test_secrets_appear_nowhere(tmp_path: Path, logs: tuple[io.StringIO, io.StringIO]) -> None:
    """After connecting, trading and failing, no canary is in a log, a database byte, a message or a repr."""
    async with neighbours(tmp_path) as desk:
        await _story(desk)
        master = desk.settings.vault.key_file.read_text().strip()
        secrets = [TOKEN, TOKEN.partition(":")[2], master, *KEY.values()]
        stored = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
        sent = "\n".join(each.text for each in desk.telegram.messages(ANN) if each.sender.id != ANN)
        shown = repr((desk.settings, desk.instance, desk.instance and desk.instance.vault))
        redacted, raw = logs
        for secret in secrets:
            assert secret.encode() not in stored
            assert secret not in sent
            assert secret not in shown
            assert secret not in redacted.getvalue()
        assert TOKEN in raw.getvalue(), "the control: without the redactor the token is in the log"


async def test_secret_in_outgoing_text_is_not_sent(desk: Desk) -> None:
    """Even text that somebody else wrote, such as an exchange's own words, cannot carry a live secret into the chat."""
    assert desk.instance is not None
    desk.instance.vault.open(1)  # the keys are live: their values are known to the redactor
    async with Bot(TOKEN, base_url=desk.settings.telegram.base_url) as bot:
        sender = Sender(bot, desk.instance.store, desk.instance.clock)
        reply = Reply(Text().plain("the secret ").bold(KEY["secret"]).plain(" is bad"))
        await sender.send(reply, chat_id=ANN, user_id=ANN)
    assert await desk.see("the secret") == "the secret ‹secret› is bad"
