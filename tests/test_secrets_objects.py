"""Every class that holds a secret, and every way Python has to show, copy or store an object."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bot import Credentials, Secret
from bot.accounts import people
from bot.accounts.vault import MasterKey, Vault
from bot.redact import Redactor
from bot.store.database import Store

CANARY = "canary-7f3a91c0"
MATERIAL = CANARY.encode().ljust(32, b"-")
KINDS = ("Secret", "Credentials", "MasterKey", "Vault", "Redactor")


@pytest.fixture
def holders(tmp_path: Path) -> Iterator[dict[str, object]]:
    """One object of each kind, all in use: the vault has opened an account, the redactor knows its keys."""
    store, redactor, master = Store(tmp_path / "tradewire.db"), Redactor(), MasterKey(MATERIAL)
    vault = Vault(store, master, redactor.register)
    store.transact(lambda db: people.ensure_user(db, 1, now_ms=0))
    account = store.transact(lambda db: people.add_account(db, 1, "bitget", "main", 0))
    store.transact(lambda db: vault.seal(db, account, {"key": CANARY, "secret": CANARY}))
    credentials = vault.open(account.id)
    yield dict(zip(KINDS, (credentials.secret, credentials, master, vault, redactor), strict=True))
    store.close()


def _logged(value: object) -> str:
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "%s %r", (value, value), None)
    return record.getMessage()


def _traced(value: object) -> str:
    try:
        raise ValueError(value)
    except ValueError as error:
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


SHOWN: dict[str, Callable[[Any], str]] = {
    "repr": repr,
    "str": str,
    "ascii": ascii,
    "format": lambda value: f"{value} {value!r:>40}",
    "percent": lambda value: "%s %r" % (value, value),  # noqa: UP031
    "spec": lambda value: format(value, "") + (f"{value:>40}" if isinstance(value, Secret) else ""),
    "list": lambda value: str([value, {"value": value}]),
    "pprint": pprint.pformat,
    "dir": lambda value: str(dir(value)),
    "log": _logged,
    "exception": lambda value: repr(ValueError(value)),
    "traceback with locals": _traced,
}
TAKEN: dict[str, Callable[[Any], object]] = {
    "vars": vars,
    "asdict": dataclasses.asdict,
    "astuple": dataclasses.astuple,
    "json": json.dumps,
    "bytes": bytes,
    "iter": list,
    "hash": hash,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "replace": dataclasses.replace,
    "reduce": lambda value: value.__reduce__(),
}


def _shows_canary(text: str) -> bool:
    return any(form in text for form in (CANARY, CANARY.encode().hex(), MATERIAL.hex()))


@pytest.mark.parametrize("way", SHOWN)
@pytest.mark.parametrize("kind", KINDS)
def test_holder_shown_reveals_nothing(holders: dict[str, object], kind: str, way: str) -> None:
    """No way of making text of an object that holds a secret shows the secret."""
    text = SHOWN[way](holders[kind])
    assert (bool(text), _shows_canary(text)) == (True, False)


@pytest.mark.parametrize("way", TAKEN)
@pytest.mark.parametrize("kind", KINDS)
def test_holder_taken_apart_refuses_or_reveals_nothing(holders: dict[str, object], kind: str, way: str) -> None:
    """Copying, storing or taking apart either raises a TypeError or gives what shows no secret; so does the error."""
    try:
        result = TAKEN[way](holders[kind])
    except (TypeError, AttributeError) as error:
        result = error
    assert not _shows_canary(f"{result!r} {result}")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", KINDS)
def test_holder_pickled_or_copied_deeply_raises(holders: dict[str, object], kind: str, protocol: int) -> None:
    """Nothing that holds a secret can be pickled or duplicated."""
    with pytest.raises((TypeError, pickle.PicklingError)):
        pickle.dumps(holders[kind], protocol)
    with pytest.raises(TypeError):
        copy.deepcopy(holders[kind])


def test_ordinary_dataclass_shown_or_pickled_reveals_its_text() -> None:
    """Control: the same ways show the canary when it is held as plain text."""

    @dataclasses.dataclass
    class Plain:
        key: str

    shown = [way for way, show in SHOWN.items() if not _shows_canary(show(Plain(CANARY)))]
    assert shown == ["dir"]
    assert _shows_canary(repr(vars(Plain(CANARY))))
    assert CANARY.encode() in pickle.dumps({"key": CANARY})


def test_credentials_compared_do_not_show_themselves() -> None:
    """Equality works on secrets, and a failed comparison shows no value."""
    one, other = Credentials(key=Secret(CANARY)), Credentials(key=Secret("other-value"))
    assert one == Credentials(key=Secret(CANARY))
    with pytest.raises(AssertionError) as caught:
        assert one == other
    assert not _shows_canary(str(caught.value))
