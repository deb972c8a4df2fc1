"""A plugin of one's own: made, tested, checked, traded with, and the sentences when something is wrong with it."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bot import UserError
from bot.cli import COMMANDS, main
from bot.cli.demo import running, step
from bot.cli.plugin import create
from bot.exchanges.registry import Plugin

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings of this machine, and none of the plugins that a test imported."""
    for name in [name for name in os.environ if name.startswith("TRADEWIRE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TRADEWIRE_LOAD_PLUGINS", "")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # files that change within a second
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] in ("tradewire_acme", "tradewire_my_ex")]:
        del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def acme(tmp_path: Path) -> Path:
    """A new plugin."""
    return create("acme", tmp_path)


def run(*words: str) -> Result:
    """Run one command."""
    result = CliRunner().invoke(main, [*words], env={"COLUMNS": "120", "XDG_CONFIG_HOME": "/nonexistent"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def change(plugin: Path, module: str, old: str, new: str) -> None:
    """Replace something in one of the plugin's modules."""
    file = plugin / "tradewire_acme" / f"{module}.py"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


async def shell(line: str, directory: Path) -> tuple[int | None, str]:
    """Run a line as a person types it."""
    words = shlex.split(line)
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    process = await asyncio.create_subprocess_exec(
        *words, cwd=directory, env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, output.decode()


@pytest.mark.network
async def test_tutorial_commands_do_what_the_page_says(tmp_path: Path) -> None:
    """Typed one after the other into an empty directory, all succeed. Installing has tests of its own."""
    page = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    [block] = re.findall(r"^```console\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    *lines, install = block.splitlines()
    assert len(lines) == 4
    told = {line: await shell(line, tmp_path) for line in lines}
    assert {line: status for line, (status, _) in told.items() if status != 0} == {}, told
    assert re.search(r"\d+ passed", told["python -m pytest tradewire-acme"][1])
    assert "All checks passed." in told["tradewire plugin check tradewire-acme"][1]
    assert "✅ Filled" in told["tradewire demo --tour --exchange tradewire-acme"][1]
    assert install.split()[1] in COMMANDS


@pytest.mark.network
async def test_demo_trades_on_the_plugins_own_exchange(acme: Path, tmp_path: Path) -> None:
    """An order placed in chat is signed by the plugin, travels over HTTP, and is filled by its strict exchange."""
    from bot.cli.authored import find

    authored = find(str(acme), tmp_path)
    async with running(tmp_path / "data", authored=authored) as demo:
        await step(demo.telegram, "say", "/start", "Trade from this chat")
        assert "Acme" in await step(demo.telegram, "say", "/buy BTC/USDT $50", "Then free")
        assert "60,010.00" in await step(demo.telegram, "press", "Confirm", "✅ Filled")


def test_new_plugin_under_another_name_keeps_nothing_of_acme(tmp_path: Path) -> None:
    """The name is everywhere, in the spelling of its place, and the checks pass under it."""
    made = create("my_ex", tmp_path)
    files = {str(file.relative_to(made)): file.read_text() for file in made.rglob("*") if file.is_file()}
    assert made.name == "tradewire-my-ex"
    assert [name for name, text in files.items() if "acme" in (name + text).lower()] == []
    assert set(files) == {
        ".github/workflows/tests.yml",
        ".gitignore",
        "README.md",
        "pyproject.toml",
        "tests/test_contract.py",
        "tests/test_orders.py",
        *(f"tradewire_my_ex/{name}.py" for name in ("__init__", "errors", "local", "payloads", "signing")),
        "tradewire_my_ex/py.typed",
    }
    result = run("plugin", "check", str(made))
    assert (result.exit_code, result.output.splitlines()[-1]) == (0, "All checks passed.")


@pytest.mark.parametrize(
    "name", ["", "Acme", "acme-x", "../acme", "1st", "a", "class", "acme_", "bitget", "paper", "é"]
)
def test_new_name_that_cannot_be_is_refused_and_makes_nothing(name: str, tmp_path: Path) -> None:
    """A name becomes a module, a domain and an id."""
    with pytest.raises(UserError):
        create(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_new_over_something_that_is_there_changes_nothing(acme: Path) -> None:
    """Nobody loses work to a command typed twice."""
    change(acme, "errors", "1001", "7001")
    result = run("plugin", "new", "acme", "--directory", str(acme.parent))
    assert (result.exit_code, "is there already, and nothing was changed" in result.output) == (1, True)
    assert "7001" in (acme / "tradewire_acme" / "errors.py").read_text()


def test_check_shows_what_the_plugin_may_do(acme: Path) -> None:
    """Whoever decides on trust sees hosts, paths, keys and limits, in full."""
    output = run("plugin", "check", str(acme)).output
    card = [re.sub(r" {2,}", " ", line).strip() for line in output.partition("\n\n")[2].splitlines()]
    assert card == [
        "Acme (acme), contract 1",
        "asks for key secret",
        "reaches https://api.acme.example",
        "may ask GET /v1/time",
        "GET /v1/markets",
        "GET /v1/book",
        "GET /v1/balances",
        "GET /v1/fills",
        "GET /v1/orders",
        "POST /v1/orders",
        "GET /v1/orders/*",
        "DELETE /v1/orders/*",
        "orders limit market GTC",
        "market buys in quote",
        "can find by our id",
        "limits orders 10 in 1 s per account",
        "client order id text, up to 32 characters",
        "doubt ends after 30 s and three looks",
        "",
        "All checks passed.",
    ]


DEFECTS = [
    ("__init__", '"GET /v1/time",', '"POST /v1/withdraw",', "which could move money away. Remove it"),
    (
        "__init__",
        "https://api.acme.example",
        "http://127.0.0.1",
        "has the host 'api': http://127.0.0.1. Write https://",
    ),
    ("__init__", '"GET /v1/book",', "", "ticker uses a path that is not listed in GET /v1/book. Add it to `paths`"),
    ("__init__", "@hookimpl\ndef balances", "def balances", "lacks balances"),
    ("__init__", "def balances()", "def balances(password)", "{'password'}"),
    ("signing", "request.target", "request.path", "the key or its signature was refused"),
    ("signing", "sha256", "sha512", "sign sends X-Sign: "),
    ("payloads", "order.client_order_id", '"fixed"', "does not send client_order_id. Put it in the placing request."),
]


@pytest.mark.parametrize(("module", "old", "new", "words"), DEFECTS, ids=[words[:30] for *_, words in DEFECTS])
def test_check_defect_names_file_hook_and_remedy(acme: Path, module: str, old: str, new: str, words: str) -> None:
    """Each is found, ends with 1, and its sentence tells where to look."""
    change(acme, module, old, new)
    result = run("plugin", "check", str(acme))
    assert result.exit_code == 1
    assert "✗" in result.output
    assert words in result.output


def test_check_failing_check_points_to_the_hooks_line(acme: Path) -> None:
    """An editor can open what the sentence begins with."""
    change(acme, "__init__", '"GET /v1/book",', "")
    assert re.search(
        rf"{re.escape(str(acme))}/tradewire_acme/__init__\.py:\d+: ticker ", run("plugin", "check", str(acme)).output
    )


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda acme: (acme / "pyproject.toml").unlink(), "pyproject.toml is missing. Name a plugin's directory"),
        (lambda acme: (acme / "pyproject.toml").write_text("["), "pyproject.toml cannot be read"),
        (lambda acme: (acme / "pyproject.toml").write_text("[project]\n"), "names no plugin. Add one line"),
        (lambda acme: change(acme, "errors", "ERRORS", "ERROR"), "importing tradewire_acme failed with ImportError"),
        (lambda acme: change(acme, "errors", "ERRORS = ", "raise SystemExit(0)\nERRORS = "), "failed with SystemExit"),
        (lambda acme: change(acme, "local", "class AcmeContract", "class Other"), "tradewire_acme.local:AcmeContract"),
    ],
    ids=["no file", "no toml", "no entry point", "import error", "exit", "no contract"],
)
def test_check_what_cannot_be_loaded_is_a_sentence(acme: Path, break_it: Any, words: str) -> None:
    """No traceback, and the exit code says that it failed."""
    break_it(acme)
    result = run("plugin", "check", str(acme))
    assert result.exit_code in (1, 78)
    assert words in result.output


def test_check_unknown_name_says_where_to_look() -> None:
    """Neither installed nor a directory."""
    result = run("plugin", "check", "nothing-here")
    assert result.exit_code == 1
    assert "No plugin nothing-here is installed, and there is no directory nothing-here" in result.output


def test_check_example_guard_passes() -> None:
    """A guard has no exchange, so only what the core asks of it is checked."""
    result = run("plugin", "check", str(ROOT / "plugins" / "house_rules"))
    assert (result.exit_code, "✓ The bot takes the plugin." in result.output) == (0, True)
    assert "? The contract of exchanges." in result.output


def test_demo_exchange_lives_in_the_machines_time(acme: Path, tmp_path: Path) -> None:
    """The fixed time of the tests would date every order years back."""
    from bot.cli.authored import find, local_exchange

    assert local_exchange(find(str(acme), tmp_path), lambda: 1_800_000_000_000).clock() == 1_800_000_000_000


def test_demo_plugin_without_a_local_exchange_says_so(acme: Path) -> None:
    """A plugin that brings none cannot be tried so, and the sentence says what its author adds."""
    file = acme / "pyproject.toml"
    file.write_text(file.read_text().replace('[project.entry-points."tradewire.contract"]', "[tool.other]"))
    result = run("demo", "--tour", "--exchange", str(acme))
    assert result.exit_code == 1
    assert "acme brings no local exchange to trade on." in result.output


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ('[plugins]\nrequired = ["tradewire-audit"]\n', "[plugins] needs tradewire-audit, which is not installed"),
        ("[plugins.gone]\n", "[plugins] needs gone, which cannot be used: it cannot be imported"),
    ],
)
def test_run_without_a_required_plugin_ends_with_78(
    installation: Any, monkeypatch: pytest.MonkeyPatch, section: str, words: str
) -> None:
    """The service manager does not start it over and over, and the sentence says which plugin, and why."""

    async def started(*_: object) -> None:
        raise AssertionError("the bot was started")

    monkeypatch.setattr("bot.chat.app.run", started)
    installation.plugins.append(Plugin("gone", None, "tradewire-gone", problem="it cannot be imported"))
    installation.configure(f'[telegram]\ntoken = "123456:{"x" * 35}"\n[access]\nowner = 7\n{section}')
    result = installation.run("run")
    assert result.exit_code == 78
    assert words in result.output
    assert "The bot was not started." in result.output


def test_doctor_names_a_required_plugin_that_is_missing(installation: Any) -> None:
    """It is found before the bot is started."""
    installation.configure('[plugins]\nrequired = ["tradewire-audit"]\n')
    result = installation.run("doctor")
    assert result.exit_code == 1
    assert "✗ plugins: [plugins] needs tradewire-audit" in result.output


def test_settings_of_a_plugin_that_are_no_section_are_refused(installation: Any) -> None:
    """A rule in the wrong place is an error, not a rule that does not hold."""
    installation.configure("[plugins]\nhouse_rules = 5\n")
    result = installation.run("plugins")
    assert (result.exit_code, "[plugins] house_rules" in result.output) == (78, True)
