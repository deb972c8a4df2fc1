"""A command killed at any moment has its effect once at most, and whoever gave it learns what became of it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from bot.accounts import people
from bot.chat import commands
from bot.chat.dialogs import Dialogs
from bot.chat.gate import ANYWHERE
from bot.chat.inbox import mark_done, was_done
from bot.chat.registry import Call, Command, Registry
from bot.chat.reply import Reply, say
from bot.config import HookSettings
from bot.exchanges import address
from bot.store.database import Connection
from bot.trading import groups
from tests.chat.conftest import OWNER, Chat, new_chat
from tests.chat.groups.conftest import IN_GROUP
from tests.chat.test_gate import GROUP
from tests.trading.conftest import ANN, BOB, START_MS

FIVE_MINUTES = 300
SIGNAL = "BUY BTC/USDT 59500-60200 SL 58000 valid 2h"
UNCOUNTED = ("inbox", "outbox", "buttons", "paper", "law", "meta", "_sqlite_migrations", "sqlite_sequence")
DONE = "It was done once: do not send it again. "


class Killed(BaseException):
    """The process ends here: nothing after it runs."""


@dataclass(frozen=True)
class Case:
    """A command with an effect, and what came before it."""

    text: str
    before: tuple[tuple[str, int, dict[str, Any]], ...] = ()
    user_id: int = ANN
    place: dict[str, Any] = field(default_factory=dict)


def private(*texts: str, user_id: int = ANN) -> tuple[tuple[str, int, dict[str, Any]], ...]:
    return tuple((text, user_id, {}) for text in texts)


POSTED = ((f"/signal {SIGNAL}", ANN, IN_GROUP),)
EFFECTS = (
    Case("/alert BTC/USDT > 70000"),
    Case("/alert #1 BTC/USDT > 80000", private("/alert BTC/USDT > 70000")),
    Case("/hook new tv"),
    Case("/hook mode tv ask $50", private("/hook new tv")),
    Case("/hook rotate tv", private("/hook new tv")),
    Case("/hook off tv", private("/hook new tv")),
    Case("/invite viewer", user_id=OWNER),
    Case(f"/signal {SIGNAL}", place=IN_GROUP),
    Case(f"/signal change 1 {SIGNAL}", POSTED),
    Case("/signal cancel 1", POSTED),
    Case("/signals $50"),
    Case("/limits order 500"),
    Case("/limits order 900", private("/limits order 500")),
    Case("/panic"),
    Case("/panic all", user_id=OWNER),
    Case("/resume", private("/panic")),
    Case("/resume all", private("/panic all", user_id=OWNER), OWNER),
    Case("/group allow", user_id=OWNER, place=IN_GROUP),
    Case("/group forbid", user_id=OWNER, place=IN_GROUP),
    Case("/route fills here", place={**IN_GROUP, "message_thread_id": 42, "is_topic_message": True}),
    Case("/mute 8h", place=IN_GROUP),
    Case("/mute 22:00-07:00 Europe/Berlin", place=IN_GROUP),
    Case("/paper on", user_id=BOB),
    Case("/watch BTC/USDT"),
    Case("/watch off", private("/watch BTC/USDT")),
    Case("/buy BTC/USDT 0.001 @ 50000"),
    Case("/sell BTC/USDT 0.001 @ 70000"),
    Case("/2fa on"),
)
BEGINS_ANEW = "/2fa on"
"""What asks for more, and begins again after a crash."""

LOOK = (
    "start help id price chart alerts balance orders order history pnl export accounts status why diag users audit ip"
)
LOOKED_AT = ("", "BTC", "BTC/USDT 4h", "main", "1", "2026-01-01 2026-12-31", "all", "on", "off", "new x", "$50")
"""What may follow a command that only looks, or that it may mistake for something to do."""
ASK_FIRST = "forgetme trade keys settings"
TWICE_IS_ONCE = "cancel plugins 2fa"
NOT_KEPT = "connect"
"""Commands that need no mark. What a button does happens once because the button is spent."""


async def opened(directory: Path, case: Case) -> Chat:
    """A chat with all commands, after what came before the case."""
    chat = await new_chat(directory)
    settings = chat.services.settings.model_copy(update={"hooks": HookSettings(enabled=True)})
    chat.services = replace(chat.services, settings=settings)
    chat.restart()
    chat.room.store.transact(lambda db: people.ensure_user(db, OWNER, "admin", now_ms=START_MS))
    chat.room.store.transact(lambda db: people.ensure_user(db, BOB, "trader", now_ms=START_MS))
    chat.room.store.transact(lambda db: groups.allow(db, GROUP, "Traders", by=OWNER, owner=OWNER, now_ms=START_MS))
    chat.telegram.administrators.add((GROUP, ANN))
    for text, user_id, place in case.before:
        await chat.arrive([chat.written(text, user_id=user_id, **place)])
    await chat.outbox.step()
    return chat


def effects(chat: Chat, case: Case) -> dict[str, int]:
    """How many rows each table has, and how many messages wait for others than who gave the command."""
    names = [row["name"] for row in chat.room.sql("SELECT name FROM sqlite_master WHERE type='table'")]
    counted = {name: chat.room.sql(f"SELECT count(*) AS n FROM {name}")[0]["n"] for name in names}
    query = "SELECT count(*) AS n FROM outbox WHERE chat_id<>? AND payload NOT LIKE ?"
    waiting = chat.room.sql(query, case.user_id, f"%{DONE}%")[0]["n"]
    return {name: n for name, n in counted.items() if name not in UNCOUNTED} | {"messages to others": waiting}


def die_after(chat: Chat, commits: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """Let the process end right after so many commits; return whether it did."""
    store, real, first = chat.room.store, chat.room.store.run, chat.room.store.commits
    is_dead = False

    async def run(work: Callable[[Connection], Any]) -> Any:
        nonlocal is_dead
        if is_dead:
            raise Killed
        found = await real(work)
        if store.commits - first == commits:
            is_dead = True
            raise Killed
        return found

    monkeypatch.setattr(store, "run", run)
    return lambda: is_dead


async def lived(directory: Path, case: Case) -> tuple[dict[str, int], dict[str, int]]:
    """What there is before a case, and after it when nothing goes wrong."""
    chat = await opened(directory, case)
    before = effects(chat, case)
    await chat.arrive([chat.written(case.text, user_id=case.user_id, **case.place)])
    after = effects(chat, case)
    await chat.room.close()
    return before, after


@pytest.mark.parametrize("away_seconds", [0, pytest.param(FIVE_MINUTES, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("case", EFFECTS, ids=lambda case: case.text)
async def test_command_killed_after_any_commit_has_one_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: Case, away_seconds: int
) -> None:
    """Whichever commit was the last before the kill, there is one effect or none, and one that was done is told."""
    before, after = await lived(tmp_path / "lived", case)
    for commits in itertools.count(1):
        chat = await opened(tmp_path / str(commits), case)
        with monkeypatch.context() as dying:
            taken = await chat.take([chat.written(case.text, user_id=case.user_id, **case.place)])
            is_dead = die_after(chat, commits, dying)
            await chat.handle(taken)
        if not is_dead():
            await chat.room.close()
            assert commits > 1
            return
        was, left = effects(chat, case), await chat.inbox.waiting(chat.services.sender.bot)
        is_marked = [was_done(each) for each in left] == [True]
        chat.services = replace(chat.services, dialogs=Dialogs(chat.room.clock))
        chat.restart()
        chat.room.clock.advance(away_seconds)
        told = len(chat.telegram.texts())
        await chat.handle(left)
        found = effects(chat, case)
        await chat.outbox.step()
        is_told = any(DONE in text for text in chat.telegram.texts()[told:])
        assert found in ((before, after) if away_seconds else (after,))
        assert is_told == is_marked
        if was == after != before and left and case.text != BEGINS_ANEW:
            assert is_marked
        assert await chat.inbox.waiting(None) == []
        await chat.room.close()


def test_commands_are_all_tried_or_need_no_mark() -> None:
    """A command that is added has to say which; one with a mark says where to look when its answer got lost."""
    every = commands.registry().commands
    tried = {case.text.split()[0].removeprefix("/") for case in EFFECTS}
    looked = {name for names in (LOOK, ASK_FIRST, TWICE_IS_ONCE, NOT_KEPT) for name in names.split()}
    assert tried | looked == set(every)
    told = tried - {"buy", "sell", "2fa"}
    assert {name for name, command in every.items() if command.lost} == told


def test_commands_that_begin_before_they_are_stored_are_those_that_look() -> None:
    """No other may: it would have its effect, and have it again when its message could not be stored."""
    assert {name for name, command in commands.registry().commands.items() if command.looks} == set(LOOK.split())


@pytest.mark.parametrize("name", LOOK.split())
async def test_command_that_looks_changes_nothing(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever follows it, the database holds the same afterwards, but for buttons, and the exchange is only read."""
    monkeypatch.setattr(address, "outgoing_address", lambda: "203.0.113.7")
    chat = await opened(tmp_path, Case(f"/{name}", private("/paper off"), OWNER))
    placed = await chat.room.placed()
    before = effects(chat, Case(name))
    for args in LOOKED_AT:
        for place in ({}, IN_GROUP) if chat.registry.is_look(name, args) else ():
            await chat.arrive([chat.written(f"/{name} {args}", user_id=OWNER, **place)])
            await chat.arrive([chat.written(f"/{name} {args}", user_id=ANN, **place)])
            chat.room.clock.advance(60)  # or its answers would wait for their turn
    assert effects(chat, Case(name)) == before
    assert (chat.room.row(placed).state, len(chat.room.exchange.placing)) == ("open", 1)
    assert [text for text in chat.telegram.texts() if "Something went wrong" in text] == []
    await chat.room.close()


def test_commands_never_reach_past_the_mark() -> None:
    """A command reads, prepares and commits by its `Call`, so that no effect is committed without the mark."""
    directory = Path(commands.__file__).parent
    assert [
        path.name for path in directory.glob("*.py") if re.search(r"\bstore\.(run|transact)", path.read_text())
    ] == []


async def test_done_command_is_told_with_its_time_and_where_to_look(tmp_path: Path) -> None:
    """Not run again, however long the bot was away, and told in the commit that forgets it."""
    chat = await new_chat(tmp_path)
    [update] = await chat.take([chat.written("/alert BTC/USDT > 70000")])
    assert update.message is not None
    chat.room.store.transact(lambda db: mark_done(db, ANN, update.message.message_id))
    chat.room.clock.advance(FIVE_MINUTES)
    await chat.handle(await chat.inbox.waiting(None))
    await chat.outbox.step()
    assert chat.telegram.texts() == [
        f"I was stopped right after I did your /alert of {update.message.date:%H:%M} UTC, so my answer may be missing. "
        f"{DONE}/alerts lists what waits here."
    ]
    assert (chat.room.sql("SELECT * FROM alerts"), await chat.inbox.waiting(None)) == ([], [])
    await chat.room.close()


@pytest.mark.parametrize("way", ["commit", "prepare"])
async def test_command_that_looks_and_commits_is_stopped(tmp_path: Path, way: str) -> None:
    """A mistake in a command: nothing of it is done, because its message may not be stored yet."""

    async def cheat(call: Call) -> Reply:
        await getattr(call, way)(lambda db: db.execute("UPDATE users SET name='Eve'"))
        return say("done")

    command = Command("cheat", cheat, "", "Start", rule=ANYWHERE, looks=True)
    chat = await new_chat(tmp_path, Registry({"cheat": command}, {}))
    [told] = await chat.say("/cheat")
    assert told.startswith("Something went wrong inside the bot.")
    assert chat.room.sql("SELECT id FROM users WHERE name='Eve'") == []
    await chat.room.close()


async def test_read_that_changes_something_is_undone_and_told(tmp_path: Path) -> None:
    """No command changes anything past the mark: a read that does is a defect, and nothing of it stays."""

    async def cheat(call: Call) -> Reply:
        await call.read(lambda db: db.execute("UPDATE users SET name='Eve'"))
        return say("done")

    chat = await new_chat(tmp_path, Registry({"cheat": Command("cheat", cheat, "", "Start", rule=ANYWHERE)}, {}))
    [told] = await chat.say("/cheat")
    assert told.startswith("Something went wrong inside the bot.")
    assert chat.room.sql("SELECT id FROM users WHERE name='Eve'") == []
    await chat.room.close()
