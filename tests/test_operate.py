"""docs/operate.md, followed to the letter: each command is typed as it stands there and prints what stands there."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import textwrap
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from bot.config import Settings
from bot.local.server import LocalServer
from bot.local.telegram import LocalTelegram
from bot.testing.bitget import StrictBitget
from bot.testing.strict import StrictServer
from tests.e2e.conftest import ANN, KEY

PAGE = Path(__file__).parents[1] / "docs" / "operate.md"
HOME = "/home/ann"
TOKEN = "123456789:AAExampleTokenOfTheBook"
ANSWERS = {
    "Token of your bot": TOKEN,
    "Is this you, the owner?": "y",
    "API key": KEY["key"],
    "API secret": KEY["secret"],
    "Passphrase": KEY["passphrase"],
}
SECONDS = 30


def steps() -> list[tuple[str, str]]:
    """Every command of the page that is shown with its output, in order."""
    blocks = re.findall(r"^```console\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    found = []
    for block in blocks:
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output.rstrip()))
    return found


def is_as_written(shown: str, written: str) -> bool:
    """Whether an output is what the page shows; `...` there stands for anything, and for lines left out."""
    pattern = ".*?".join(re.escape(part) for part in written.split("..."))
    return re.fullmatch(pattern, shown, flags=re.DOTALL) is not None


class Terminal:
    """A terminal on a server: a home directory of its own, and both neighbours on loopback."""

    def __init__(self, home: Path, environ: dict[str, str], telegram: LocalTelegram) -> None:
        self._home = home
        self._telegram = telegram
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRADEWIRE_", "XDG_"))}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._environ = {**kept, **environ, "HOME": str(home), "PATH": path, "COLUMNS": "200", "TERM": "dumb"}

    async def type(self, command: str) -> str:
        """Run a command, answer its questions, and return what the screen shows."""
        process, reader, screen = await self._start(command)
        shown, answered = "", 0
        async with asyncio.timeout(SECONDS):
            while part := await reader.read(65_536):
                shown += part.decode()
                news = shown[answered:]
                if "waiting ..." in news:
                    answered = len(shown)
                    self._telegram.say(ANN, ANN, "/start")
                elif question := re.search(r"[^\n]+: $", news):
                    answered = len(shown)
                    os.write(screen, f"{_answer(question[0])}\n".encode())
            await process.wait()
        os.close(screen)
        return self.clean(shown)

    async def leave_running(self, command: str, until: str) -> asyncio.subprocess.Process:
        """Start a command that goes on, and return when the screen shows `until`."""
        process, reader, _ = await self._start(f"exec {command}")
        self._running = reader
        self.shown = ""
        async with asyncio.timeout(SECONDS):
            while until not in self.shown:
                part = await reader.read(65_536)
                assert part, self.shown
                self.shown += part.decode()
        return process

    async def rest(self) -> str:
        """What the command that goes on has shown since."""
        return (await self._running.read()).decode()

    def clean(self, shown: str) -> str:
        """The screen as the page would print it."""
        return re.sub(r" +$", "", shown.replace("\r", "").replace(str(self._home), HOME), flags=re.MULTILINE).strip()

    async def _start(self, command: str) -> tuple[asyncio.subprocess.Process, asyncio.StreamReader, int]:
        screen, inner = os.openpty()
        process = await asyncio.create_subprocess_shell(
            command, stdin=inner, stdout=inner, stderr=inner, cwd=self._home, env=self._environ, start_new_session=True
        )
        os.close(inner)
        reader = asyncio.StreamReader()

        def readable() -> None:
            try:
                part = os.read(screen, 65_536)
            except OSError:  # the last program on this terminal has ended
                part = b""
            if part:
                reader.feed_data(part)
            else:
                asyncio.get_running_loop().remove_reader(screen)
                reader.feed_eof()

        asyncio.get_running_loop().add_reader(screen, readable)
        return process, reader, screen


def _answer(question: str) -> str:
    [answer] = [answer for words, answer in ANSWERS.items() if words in question]
    return answer


@pytest.mark.network
async def test_operate_page_followed_to_the_letter_ends_with_a_running_bot(tmp_path: Path) -> None:
    """From an empty home: every command prints what the page shows, and the bot answers in between."""
    telegram = LocalTelegram(bot_username="ann_trades_bot")
    telegram.add_person(ANN, "Ann", "ann")
    exchange = StrictBitget(mode="classic")
    exchange.add_account(**KEY, balances={"USDT": Decimal(1000)})
    exchange.set_price("BTCUSDT", "60000.00", "60000.10")
    home = tmp_path / "home"
    home.mkdir()
    running: asyncio.subprocess.Process | None = None
    differing = []
    async with StrictServer(exchange) as strict, LocalServer(telegram, TOKEN) as local:
        environ = {
            "TRADEWIRE_TELEGRAM__BASE_URL": local.base_url,
            "TRADEWIRE_EXCHANGES__BITGET__BASE_URL": strict.url,
        }
        terminal = Terminal(home, environ, telegram)
        for command, written in steps():
            if command.startswith("tradewire restore"):  # "stop the bot first"
                assert running is not None
                running.send_signal(signal.SIGINT)
                assert await asyncio.wait_for(running.wait(), 20) == 0, await terminal.rest()
            if command == "tradewire run":
                running = await terminal.leave_running(command, "receiving by polling")
                shown = terminal.clean(terminal.shown)
                telegram.say(ANN, ANN, "/balance")
                await telegram.wait(lambda each: "1,000" in each.last(ANN).text, 10)
            else:
                shown = await terminal.type(command)
            if not is_as_written(shown, written):
                differing.append(f"$ {command}\n{shown}\n--- written ---\n{written}")
    assert differing == [], "\n\n".join(differing)


def test_operate_page_symptoms_quote_texts_that_exist() -> None:
    """What the table of symptoms tells people to look for is said by the bot in these words."""
    table = PAGE.read_text(encoding="utf-8").partition("## When something is wrong")[2]
    quoted = re.findall(r"^\| \"([^\"|]+)\"", table, flags=re.MULTILINE)
    source = "\n".join(path.read_text(encoding="utf-8") for path in (PAGE.parents[1] / "bot").rglob("*.py"))
    source = re.sub(r'"\s*\n\s*f?"', "", source)
    assert len(quoted) > 8
    assert [text for text in quoted if text not in source] == []


def test_operate_page_webhook_settings_are_accepted_and_fit_the_proxies() -> None:
    """The configuration shown can be loaded, and both proxies hand its path on to its port."""
    page = PAGE.read_text(encoding="utf-8")
    [shown] = re.findall(r"^ *```toml\n(.*?)^ *```", page, flags=re.DOTALL | re.MULTILINE)
    text = textwrap.dedent(shown).replace("the 64 characters that openssl printed", "0" * 64)
    settings = Settings.model_validate(tomllib.loads(text))
    served, path = f"{settings.web.host}:{settings.web.port}", settings.telegram.webhook_path
    assert (settings.telegram.mode, path) == ("webhook", "/telegram")
    assert re.search(rf"location = {path} \{{\s+proxy_pass http://{re.escape(served)};", page)
    assert re.search(rf"handle {path} \{{\s+reverse_proxy {re.escape(served)}\n", page)


def test_output_check_notices_a_difference() -> None:
    """Control: one word more or less is seen; what `...` stands for is not."""
    written = "✓ one: ...\n...\n✓ three"
    assert is_as_written("✓ one: 1\n✓ two\n✓ three", written)
    assert not is_as_written("✓ one: 1\n✓ two\n✗ three", written)
    assert not is_as_written("✓ one: 1\n✓ two\n✓ three\nmore", written)
