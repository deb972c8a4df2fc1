"""Which of the twelve secrets the bot has by now; each becomes known to the redactor where it comes to life."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from bot import ClientId, Request, Response
from bot.accounts import people, second_factor
from bot.accounts.people import AccountRow
from bot.accounts.vault import MasterKey, Vault, create_master_key
from bot.chat.commands import hooks
from bot.chat.gate import Admitted
from bot.chat.registry import Call
from bot.cli.instance import open_instance
from bot.config import Settings
from bot.contract.errors import BotError
from bot.exchanges import registry
from bot.exchanges.registry import Plugin
from bot.exchanges.transport import Transport
from bot.redact import MARK, redactor
from bot.store import schema
from bot.store.database import Store
from bot.trading.gateway import Exchange, Gateway
from tests.chat.conftest import OWNER, new_chat
from tests.security.canaries import CANARIES, files_in, forget, leaked_bytes
from tests.trading.conftest import ANN, MARKET, Acme, FakeClock

KEYS = {"key": "api key", "secret": "api secret", "passphrase": "passphrase", "email": "e-mail"}
NOT_YET = {"vault passphrase": "passphrase"}
"""A secret that the bot does not have, and what its rooms, configuration or tables are called as soon as it does."""
WEBHOOK_SECRET = "wh_9fK2x7Q-pLmN4vB8cZ1xT6yR3eW0aZ5k"


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process's redactor, knowing nothing yet."""
    forget(monkeypatch.setattr)


@dataclass
class Home:
    """A vault over a database, with one account of one person."""

    store: Store
    vault: Vault
    account: AccountRow

    def again(self) -> Vault:
        """The vault after a restart; the redactor has forgotten everything."""
        forget()
        return Vault(self.store, MasterKey(bytes.fromhex(CANARIES["master key"])), redactor.register)


@pytest.fixture
def home(tmp_path: Path) -> Any:
    store = Store(tmp_path / "data" / "tradewire.db")
    vault = Vault(store, MasterKey(bytes.fromhex(CANARIES["master key"])), redactor.register)
    store.transact(lambda db: people.ensure_user(db, ANN, now_ms=0))
    account = store.transact(lambda db: people.add_account(db, ANN, "acme", "main", 0))
    fields = {field: CANARIES[kind] for field, kind in KEYS.items()}
    store.transact(lambda db: vault.seal(db, account, fields))
    yield Home(store, vault, account)
    store.close()


async def _started(home: Home, directory: Path, **telegram: str) -> None:
    create_master_key(directory / "master.key")
    values = {
        "telegram": telegram,
        "storage": {"directory": directory / "own"},
        "vault": {"key_file": directory / "master.key"},
    }
    await open_instance(Settings.model_validate(values)).close()


async def _token(home: Home, directory: Path) -> str:
    await _started(home, directory, token=CANARIES["bot token"])
    return CANARIES["bot token"]


async def _webhook(home: Home, directory: Path) -> str:
    await _started(home, directory, webhook_secret=WEBHOOK_SECRET)
    return WEBHOOK_SECRET


async def _master(home: Home, directory: Path) -> str:
    home.again()
    return CANARIES["master key"]


async def _data_key(home: Home, directory: Path) -> str:
    vault, before = home.again(), set(redactor._known)
    vault.open(home.account.id)
    (made,) = {each for each in redactor._known - before if re.fullmatch("[0-9a-f]{64}", each)}
    return made


async def _seed(home: Home, directory: Path) -> str:
    seed = home.store.transact(lambda db: second_factor.begin(db, ANN, vault=home.vault)).reveal()
    assert redactor.redact(seed) == MARK
    vault = home.again()
    home.store.transact(lambda db: second_factor.seed_of(db, ANN, vault=vault))
    return seed


async def _invite(home: Home, directory: Path) -> str:
    chat = await new_chat(directory)
    await chat.say("/invite trader 15m", user_id=OWNER)
    (_, rows) = next(iter(chat.telegram.shown.values()))
    (token,) = set(re.findall("inv_([A-Za-z0-9_-]{22})", str(rows)))
    await chat.room.close()
    assert token.encode() not in files_in(directory)
    return token


async def _path(home: Home, directory: Path) -> str:
    chat = await new_chat(directory)
    settings = Settings.model_validate({"access": {"owner": OWNER}, "hooks": {"enabled": True}})
    who = Admitted(ANN, "", "trader", ANN, 1, is_private=True)
    await hooks.hook(Call(replace(chat.services, settings=settings), who, "new tv"))
    (token,) = set(re.findall("/([A-Za-z0-9_-]{43})", str(chat.telegram.calls)))
    await chat.room.close()
    assert token.encode() not in files_in(directory)
    return token


def _credential(field: str) -> Callable[[Home, Path], Awaitable[str]]:
    async def opened(home: Home, directory: Path) -> str:
        value: str = getattr(home.again().open(home.account.id), field).reveal()
        return value

    return opened


PLANTED: dict[str, Callable[[Home, Path], Awaitable[str]]] = {
    "bot token": _token,
    "webhook secret": _webhook,
    "master key": _master,
    "data key": _data_key,
    "totp seed": _seed,
    "invite token": _invite,
    "path token": _path,
    **{kind: _credential(field) for field, kind in KEYS.items()},
}


@pytest.mark.parametrize("kind", PLANTED)
async def test_secret_brought_to_life_is_known_to_the_redactor(home: Home, tmp_path: Path, kind: str) -> None:
    """Whatever opens or makes a secret registers it: from then on every sink hides it."""
    value = await PLANTED[kind](home, tmp_path)
    assert redactor.redact(f"a {value} b") == f"a {MARK} b"


def test_every_kind_of_secret_is_planted_or_does_not_exist_yet() -> None:
    """A kind is in one of the two tables, and what does not exist yet is named in no room, configuration or table."""
    assert (PLANTED.keys() | NOT_YET.keys(), PLANTED.keys() & NOT_YET.keys()) == (CANARIES.keys(), set())
    names = {*_settings(Settings), *re.findall("[a-z_]+", " ".join(schema._FIRST).lower())}
    names |= {f"room_{path.name}" for path in Path(schema.__file__).parents[1].iterdir() if path.is_dir()}
    assert names > {"key_file", "room_chat"}
    assert [(kind, name) for kind, words in NOT_YET.items() for name in names if re.search(words, name)] == []


def _settings(model: type[BaseModel]) -> set[str]:
    names: set[str] = set()
    for name, field in model.model_fields.items():
        names.add(name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            names |= _settings(field.annotation)
    return names


class Far:
    """The far end of an exchange: keeps the bytes of every request and refuses it."""

    def __init__(self) -> None:
        self.heard = b""

    async def send(self, request: Request, *, timeout_seconds: float) -> Response:
        self.heard += repr((request.target, dict(request.headers), request.body)).encode()
        return Response(401, {}, b'{"code": "WHAT"}')

    async def close(self) -> None:
        pass


async def test_keys_reach_their_own_exchange_alone(home: Home) -> None:
    """Of two exchanges, each hears the key of its own account and not a part of the other's."""
    far = {name: Far() for name in ("acme", "other")}
    exchanges = {}
    for name, wire in far.items():
        plugin = Acme(absence_seconds=None, client_id=ClientId(), exchange_id=name)
        registered = registry.register(Plugin(name, plugin))
        exchanges[name] = Exchange(registered, Transport(registered.info, registered.hook, wire, FakeClock()))
    other = home.store.transact(lambda db: people.add_account(db, ANN, "other", "second", 0))
    home.store.transact(lambda db: home.vault.seal(db, other, {"key": "another-key-0123456789", "secret": "s" * 20}))
    gateway = Gateway(home.store, home.vault, FakeClock(), exchanges)
    for account in (home.account, other):
        for ask in (gateway.balances(account), gateway.open_orders(account, [MARKET]), gateway.detect(account)):
            with pytest.raises(BotError):
                await ask
    assert {kind for kind, _ in leaked_bytes(far["acme"].heard)} == {"api key"}
    assert (leaked_bytes(far["other"].heard), b"another-key" in far["other"].heard) == ([], True)
    assert b"another-key" not in far["acme"].heard
