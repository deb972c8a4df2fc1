"""Keys of BTCC: refused ones, and the self-test, in chat and on the server."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
import tradewire_btcc
from click.testing import CliRunner, Result
from tradewire_btcc.payloads import ASSUMED

from bot.accounts.vault import create_master_key
from bot.cli import main
from bot.exchanges import registry
from bot.exchanges.registry import Plugin
from bot.local.telegram import LocalTelegram
from bot.testing.btcc import StrictBTCC
from bot.testing.strict import StrictServer
from bot.trading.connect import KeyRefused
from tests.e2e.btcc.conftest import KEY, BtccDesk, neighbours
from tests.e2e.conftest import ANN

pytestmark = pytest.mark.network
WELL = [
    "✓ connection: BTCC answers",
    "✓ clock: OFFSET ms",
    "✓ markets: 3 open, BTC/USDT among them",
    "✓ price: BTC/USDT at 60,000 USDT",
    "✓ signature: accepted",
    "✓ read: 2 assets",
    "✓ orders: can be listed; open now: 0",
    "? trade: BTCC does not tell; the first order will show",
    "✓ withdraw: verified: the key cannot withdraw",
    "⚠ note: BTCC gives no API key the right to withdraw, says its document. It does not tell whether this key may"
    " trade; the first order will.",
    f"⚠ experimental: these {len(ASSUMED.told())} assumptions are not verified:",
    *(f"  • {each}" for each in ASSUMED.told()),
    "  Begin with the smallest order: 0.0003 BTC.",
]
KEY_REMEDY = (
    "BTCC refuses the key: BTCC does not accept this API key here. It may be mistyped or deleted, made for Futures"
    " instead of Spot, lack Read or Trade, or be bound to another IP address. On BTCC create a key with Spot Read and"
    " Spot Trade, bound to this server's address."
)
FAILURES = {
    "unreachable": "✗ connection: BTCC sent an unreadable reply (HTTP 200). Check this server's network. The exchange"
    " may have moved, or bar this server's address or country.",
    "all halted": "✗ markets: BTCC has no open market. Try again later.",
    "no price": "✗ price: BTCC does not know this request. Its API may have changed; look for a newer tradewire.",
    "wrong secret": "✗ signature: BTCC refuses the key: the signature was refused. Connect again and copy the secret"
    " key whole; if it is right, the clock of this server may be wrong.",
    "wrong key": f"✗ signature: {KEY_REMEDY}",
    "other address": f"✗ signature: {KEY_REMEDY}",
    "no right to read": f"✗ signature: {KEY_REMEDY}",
    "no orders": "✗ orders: BTCC sent an unreadable reply (HTTP 200). Test the key again in a few minutes.",
}


@contextmanager
def spoiled(exchange: StrictBTCC, how: str) -> Iterator[None]:
    """Make the strict BTCC fail in one way, and mend it again."""
    account, pairs = exchange.accounts[KEY["key"]], list(exchange.ledger.pairs.values())
    if how == "unreachable":
        exchange.misbehave("garbage", "/time")
    elif how == "all halted":
        for pair in pairs:
            pair.status = "offline"
    elif how == "no price":
        exchange.has_last, exchange.missing = False, exchange.missing | {"market/last"}
    elif how == "wrong secret":
        account.secret_key = "another"
    elif how == "wrong key":
        exchange.accounts.clear()
    elif how == "other address":
        account.ips = ("192.0.2.1",)
    elif how == "no right to read":
        account.rights.clear()
    elif how == "no orders":
        exchange.misbehave("garbage", "order/pending")
    yield
    exchange.accounts[KEY["key"]], account.ips, account.secret_key = account, (), KEY["secret"]
    account.rights |= {"read", "trade"}
    exchange.has_last, exchange.missing = True, exchange.missing - {"market/last"}
    for pair in pairs:
        pair.status = "online"


def without_offset(lines: list[str]) -> list[str]:
    """Return the lines with the measured milliseconds, which differ, taken out."""
    return [re.sub(r"clock: [+-]\d+ ms", "clock: OFFSET ms", line) for line in lines]


async def key_test(desk: BtccDesk) -> list[str]:
    """Type `/keys test` and return the lines of the answer, once it has ended."""
    desk.say("/keys test")
    asked = desk.telegram.messages(ANN)[-1].id

    def ended(telegram: LocalTelegram) -> list[str] | None:
        last = telegram.messages(ANN)[-1]
        lines = last.text.splitlines()
        is_done = last.id > asked and ("✗" in last.text or "smallest order" in lines[-1])
        return lines if is_done else None

    return await desk.telegram.wait(ended, 10)  # type: ignore[arg-type,return-value]


@pytest.mark.usefixtures("no_limits")
async def test_keys_test_in_chat_tells_every_step_and_stops_at_the_first_failure(desk: BtccDesk) -> None:
    """Each step has its result in words; whatever fails is the last line, with cause and remedy; nothing is placed."""
    posts = len([each for each in desk.exchange.received if each.method == "POST"])
    head, *lines = await key_test(desk)
    assert head == "Testing BTCC·main · ⚠ experimental"
    assert without_offset(lines) == [line.replace("?", "–", 1) if line[0] == "?" else line for line in WELL]
    told = {}
    for how in FAILURES:
        with spoiled(desk.exchange, how):
            told[how] = (await key_test(desk))[-1]
    assert told == FAILURES
    assert len([each for each in desk.exchange.received if each.method == "POST"]) == posts


@pytest.mark.usefixtures("no_limits")
async def test_keys_test_in_chat_ticks_off_the_steps_as_they_are_done(desk: BtccDesk) -> None:
    """While one step waits, those before it are on the screen, and the same message goes on."""
    slow = desk.exchange.misbehave("slow", "market/list")
    desk.say("/keys")
    await desk.see("Keys", "experimental")
    desk.press("Test main")
    await slow.reached.wait()
    text = await desk.see("Testing BTCC·main", "✓ connection")
    assert "markets" not in text
    count = len(desk.telegram.messages(ANN))
    slow.release()
    await desk.see("Testing BTCC·main", "smallest order")
    assert len(desk.telegram.messages(ANN)) == count


@pytest.mark.usefixtures("no_limits")
async def test_keys_test_on_the_server_tells_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`tradewire keys test` prints the same steps, ends at the same failures, and its exit code says so."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # the command sets its own
    monkeypatch.setattr(registry, "discover", lambda *_: [Plugin("btcc", tradewire_btcc)])
    exchange = StrictBTCC()
    exchange.add_account(**KEY, balances={"USDT": Decimal(1000), "BTC": Decimal("0.5")})
    create_master_key(tmp_path / "master.key")
    async with StrictServer(exchange) as server:
        config = tmp_path / "config.toml"
        config.write_text(
            f'[access]\nowner = {ANN}\n[storage]\ndirectory = "{tmp_path}/data"\n'
            f'[vault]\nkey_file = "{tmp_path}/master.key"\n[exchanges.btcc]\nbase_url = "{server.url}"\n'
        )

        async def run(*words: str, stdin: str = "") -> Result:
            return await asyncio.to_thread(CliRunner().invoke, main, [*words, "--config", str(config)], stdin)

        added = await run("keys", "add", "--exchange", "btcc", "--stdin", stdin=json.dumps(KEY))
        assert added.output.splitlines()[-1] == (
            f"BTCC·main · ⚠ experimental of user {ANN} is stored, not verified in full."
        )
        assert (await run("keys", "list")).output.endswith("withdraw: no, experimental\n")
        assert "enabled · ⚠ experimental" in (await run("plugins")).output
        done = await run("keys", "test")
        assert (done.exit_code, without_offset(done.output.splitlines())) == (
            0,
            [f"btcc·main · ⚠ experimental of user {ANN}", *WELL],
        )
        told = {}
        for how in FAILURES:
            with spoiled(exchange, how):
                result = await run("keys", "test")
            told[how] = result.output.splitlines()[-1]
            assert result.exit_code == 1
        assert told == FAILURES
    assert [each.path for each in exchange.received if each.method == "POST"] == []


async def test_wrong_key_and_wrong_secret_are_refused(tmp_path: Path) -> None:
    """Each is told in plain words, and nothing is stored."""
    async with neighbours(tmp_path) as desk:
        with pytest.raises(KeyRefused, match=r"does not accept this API key here.*Futures instead of Spot"):
            await desk.connect(key="00000000-0000-0000-0000-000000000000")
        with pytest.raises(KeyRefused, match="signature was refused"):
            await desk.connect(secret="00000000-0000-0000-0000-000000000000")
        desk.say("/balance")
        await desk.see("/connect adds your key")
