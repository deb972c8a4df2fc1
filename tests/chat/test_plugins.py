"""/plugins in chat: administrators list and switch; nobody installs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.accounts import people
from bot.config import Settings
from bot.exchanges import lock as locks
from bot.exchanges.lock import Entry, Lock
from tests.chat.conftest import OWNER, Chat, new_chat
from tests.trading.conftest import ANN, START_MS

ENTRY = Entry(version="1.0", source="x", entry_points={"other": "tradewire_other"}, sha256="0123456789abcdef")
RESTART = "It takes effect when the bot is started again, on the server."
USAGE = "To switch one: /plugins disable NAME or /plugins enable NAME."


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Chat]:
    """A chat of the bot whose data directory has one plugin in its lock file."""
    made = await new_chat(tmp_path)
    data = tmp_path / "data"
    settings = Settings.model_validate({"access": {"owner": OWNER}, "storage": {"directory": data}})
    made.services = replace(made.services, settings=settings)
    made.restart()
    made.room.store.transact(lambda db: people.ensure_user(db, OWNER, "admin", now_ms=START_MS))
    locks.change(data, lambda lock: lock.having("tradewire-other", ENTRY))
    yield made
    await made.room.close()


def lock(chat: Chat) -> Lock:
    return locks.read(chat.services.settings.storage.directory)


async def test_plugins_lists_what_is_used_and_why_another_is_not(admin: Chat) -> None:
    """The same facts and remedies as on the server."""
    admin.room.gateway.unusable = {"broken": "it is not in plugins.lock, so it was not imported"}
    assert await admin.say("/plugins", user_id=OWNER) == [
        "Plugins\n"
        "✓ acme · contract 1\n"
        "✗ broken is off: it is not in plugins.lock, so it was not imported\n"
        "✓ other · 1.0 · sha256 0123456789ab\n" + USAGE
    ]


async def test_plugins_lists_a_plugin_in_development_with_its_badge(admin: Chat) -> None:
    """What nobody checks is shown so."""
    data = admin.services.settings.storage.directory
    locks.change(data, lambda now: now.having("tradewire-other", replace(ENTRY, development=True, sha256="")))
    (told,) = await admin.say("/plugins", user_id=OWNER)
    assert "✓ other · 1.0 · ⚠ development, not checked\n" in told


async def test_plugins_disable_and_enable_are_stored_for_the_next_start(admin: Chat) -> None:
    """The lock file says it; the bot that runs goes on as it was."""
    assert await admin.say("/plugins disable other", user_id=OWNER) == [f"other is switched off. {RESTART}"]
    assert lock(admin).disabled == {"other"}
    (told,) = await admin.say("/plugins", user_id=OWNER)
    assert "other will be off after the next start.\n" in told
    assert await admin.say("/plugins enable tradewire-other", user_id=OWNER) == [f"other is switched on. {RESTART}"]
    assert lock(admin).disabled == frozenset()


async def test_plugins_disable_with_orders_in_doubt_or_open_warns(admin: Chat) -> None:
    """Without the plugin nobody looks after them."""
    data = admin.services.settings.storage.directory
    plugin = admin.room.gateway.exchanges["acme"].registered.plugin.name
    locks.change(data, lambda now: now.having("tradewire-other", replace(ENTRY, entry_points={plugin: "x"})))
    await admin.room.placed()
    (told,) = await admin.say(f"/plugins disable {plugin}", user_id=OWNER)
    assert told == (
        f"{plugin} is switched off. {RESTART} ⚠ Orders not finished there: 1. Without the plugin I lose sight of them, "
        "so end them first."
    )


@pytest.mark.parametrize("verb", ["install", "upgrade", "uninstall", "INSTALL"])
async def test_plugins_never_installs(admin: Chat, verb: str) -> None:
    """Code comes from the server's own terminal alone."""
    before = lock(admin)
    (told,) = await admin.say(f"/plugins {verb} tradewire-evil", user_id=OWNER)
    assert "Plugins are installed on the server only" in told
    assert lock(admin) == before


@pytest.mark.parametrize(
    ("words", "sentence"), [("disable", USAGE), ("what", USAGE), ("disable nobody", "No plugin is")]
)
async def test_plugins_misunderstood_says_how(admin: Chat, words: str, sentence: str) -> None:
    """A name that nobody has changes nothing."""
    (told,) = await admin.say(f"/plugins {words}", user_id=OWNER)
    assert sentence in told
    assert lock(admin).disabled == frozenset()


async def test_plugins_is_for_administrators(admin: Chat) -> None:
    """A trader neither sees nor switches."""
    (told,) = await admin.say("/plugins disable other", user_id=ANN)
    assert "switched" not in told
    assert lock(admin).disabled == frozenset()


async def test_plugins_with_a_lock_file_that_proves_nothing_says_so(admin: Chat) -> None:
    """The list still comes, with what is wrong."""
    file = admin.services.settings.storage.directory / "plugins.lock"
    file.chmod(0o666)
    (told,) = await admin.say("/plugins", user_id=OWNER)
    assert "can be written by others, so it proves nothing" in told


async def test_status_says_why_a_plugin_is_off(admin: Chat) -> None:
    """Not only who asks for plugins learns it."""
    admin.room.gateway.unusable = {"other": "its file x.py was changed since it was installed"}
    (told,) = await admin.say("/status", user_id=OWNER)
    assert "⚠ other is off: its file x.py was changed since it was installed\n" in told
