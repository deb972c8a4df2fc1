"""No secret in any log line, database byte, message or repr, whatever goes wrong; and the redactor is why."""

from __future__ import annotations

import base64
import io
import json
import logging
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from telegram import Bot

from bot import redact
from bot.chat.reply import Reply, Sender
from bot.chat.text import Text
from bot.config import LimitSettings
from bot.store.backup import back_up
from tests.e2e.conftest import ANN, KEY, TOKEN, Desk, neighbours
from tests.security.canaries import ENCODINGS, files_in

pytestmark = pytest.mark.network
_LOUD = ("httpx", "httpcore")  # which `install` silences: here only the redactor stands between them and the log


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[io.StringIO, io.StringIO]]:
    """The log at DEBUG as `run` sets it up, with both streams in it; and what went into it before it was filtered."""
    redacted, raw = io.StringIO(), io.StringIO()
    root, levels = logging.getLogger(), {name: logging.getLogger(name).level for name in ("", "telegram", *_LOUD)}
    handlers = root.handlers[:]
    for owner, name in ((sys, "excepthook"), (threading, "excepthook"), (warnings, "showwarning")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    monkeypatch.setattr(sys, "stdout", redacted)
    monkeypatch.setattr(sys, "stderr", redacted)
    redact.install("DEBUG", redacted)
    root.addHandler(logging.StreamHandler(raw))
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield redacted, raw
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


async def _story(desk: Desk) -> None:
    """Connect, trade, and run into every kind of trouble."""
    limits = LimitSettings(orders_a_minute=600)
    desk.settings = desk.settings.model_copy(update={"limits": limits})
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


def _forms(value: str) -> list[str]:
    """Return a secret in the ways a program writes it, without what it would put around it."""
    inside = (len(value) * 8 // 6) // 4 * 4  # of base64, the characters that depend on the value alone
    whole = [encode(value) for name, encode in ENCODINGS.items() if name != "JSON" and "base64" not in name]
    parts = [base64.b64encode(value.encode()).decode()[:inside], json.dumps(value)[1:-1]]
    return [*whole, *parts]


async def test_secrets_appear_nowhere(
    tmp_path: Path, logs: tuple[io.StringIO, io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After connecting, trading and failing: no secret, however written, in any log, file, message, backup or repr."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("TMPDIR", str(temporary))
    async with neighbours(tmp_path) as desk:
        await _story(desk)
        master = desk.settings.vault.key_file.read_text().strip()
        secrets = [TOKEN, TOKEN.partition(":")[2], master, *KEY.values()]
        for secret in secrets:  # as a library would that logs what it sends
            logging.getLogger("httpx").info("HTTP Request: POST http://127.0.0.1/bot%s", secret)
        back_up(tmp_path / "data" / "tradewire.db", tmp_path / "backups" / "copy.db")
        redacted, raw = logs
        sent = [each.text for each in desk.telegram.messages(ANN) if each.sender.id != ANN]
        places = {
            "database, log and lock": files_in(tmp_path / "data"),
            "backup": files_in(tmp_path / "backups"),
            "temporary files": files_in(temporary),
            "messages": "\n".join(sent).encode(),
            "reprs": repr((desk.settings, desk.instance, desk.instance and desk.instance.vault)).encode(),
            "log": redacted.getvalue().encode(),
        }
        found = {
            (place, form)
            for place, content in places.items()
            for secret in secrets
            for form in _forms(secret)
            if form.encode() in content
        }
        assert found == set()
        assert [place for place, content in places.items() if not content] == ["temporary files"]
        assert [secret for secret in secrets if secret not in raw.getvalue()] == [], (
            "without the redactor they are there"
        )


async def test_secret_in_outgoing_text_is_not_sent(desk: Desk) -> None:
    """Even text that somebody else wrote, such as an exchange's own words, cannot carry a live secret into the chat."""
    assert desk.instance is not None
    desk.instance.vault.open(1)  # the keys are live: their values are known to the redactor
    async with Bot(TOKEN, base_url=desk.settings.telegram.base_url) as bot:
        sender = Sender(bot, desk.instance.store, desk.instance.clock)
        reply = Reply(Text().plain("the secret ").bold(KEY["secret"]).plain(" is bad"))
        await sender.send(reply, chat_id=ANN, user_id=ANN)
    assert await desk.see("the secret") == "the secret ‹secret› is bad"
