from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from typing import Any

import pyotp
import pytest

from bot.accounts import people, second_factor
from bot.accounts.vault import Vault, create_master_key, load_master_key
from bot.store.database import DirectoryLock, Store

KEY = {"key": "canary-key-0123456789abcdef", "secret": "canary-secret-0123456789abcdef"}
NOW_MS = 1_760_000_000_000


class Clock:
    def now_ms(self) -> int:
        return NOW_MS


@pytest.fixture(autouse=True)
def filled(installation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation with one key of the owner, 7."""
    installation.configure()
    monkeypatch.setattr("bot.cli.seal.SystemClock", Clock)
    assert installation.run("keys", "add", "--exchange", "acme", "--stdin", stdin=json.dumps(KEY)).exit_code == 0


def opened(installation: Any, master: Any) -> dict[str, str]:
    store = Store(installation.database)
    try:
        found = Vault(store, load_master_key(master), lambda _: None).open(1)
    finally:
        store.close()
    return {"key": found.key.reveal(), "secret": found.secret.reveal()}


def digest(installation: Any) -> dict[str, str]:
    files = installation.database.parent.glob("tradewire.db*")
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def new_key(installation: Any) -> Any:
    return installation.directory / "new" / "master.key"


def rotate(installation: Any) -> Any:
    return installation.run("keys", "rotate-master", "--new-key", str(new_key(installation)))


def test_rotate_master_makes_a_key_and_says_what_to_write(installation: Any) -> None:
    result = rotate(installation)
    assert (result.exit_code, result.output.splitlines()) == (
        0,
        [
            f"1 data keys were sealed anew. The master key is now {new_key(installation)}.",
            f'Write [vault] key_file = "{new_key(installation)}" into the configuration, then start the bot.',
            f"Keep {installation.master_key} for as long as you keep backups made before.",
        ],
    )
    assert opened(installation, new_key(installation)) == KEY
    again = installation.run("keys", "list")
    assert (again.exit_code, "does not belong" in again.stderr) == (78, True)


def test_rotate_master_with_a_wrong_or_missing_key_exits_78_and_writes_nothing(installation: Any) -> None:
    """No new key is made when the old one is not the database's; its file does not change."""
    kept, before = installation.master_key.read_bytes(), digest(installation)
    installation.master_key.unlink()
    missing = rotate(installation)
    create_master_key(installation.master_key)
    wrong = rotate(installation)
    assert (missing.exit_code, wrong.exit_code, new_key(installation).exists()) == (78, 78, False)
    assert ("is missing" in missing.stderr, "does not belong" in wrong.stderr) == (True, True)
    assert digest(installation) == before
    installation.master_key.write_bytes(kept)
    assert opened(installation, installation.master_key) == KEY


def test_rotate_master_begun_without_its_new_key_exits_78_and_makes_none(
    installation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it was cut short both files are needed; a lost new key is not replaced by another."""
    with monkeypatch.context() as patch:
        patch.setattr("bot.accounts.rotation._rewrap_one", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            rotate(installation)
    hidden = new_key(installation).rename(installation.directory / "hidden")
    before = digest(installation)
    result, others = rotate(installation), installation.run("keys", "list")
    assert (result.exit_code, new_key(installation).exists(), digest(installation)) == (78, False, before)
    assert (others.exit_code, "rotate-master" in others.stderr) == (78, True)
    hidden.rename(new_key(installation))
    assert rotate(installation).exit_code == 0
    assert opened(installation, new_key(installation)) == KEY


def test_rotate_master_while_the_bot_runs_is_refused(installation: Any) -> None:
    """The bot holds the old key in its memory."""
    lock = DirectoryLock(installation.database.parent)
    try:
        result = rotate(installation)
    finally:
        lock.release()
    assert (result.exit_code, new_key(installation).exists()) == (75, False)


def test_rotate_data_seals_anew(installation: Any) -> None:
    store = Store(installation.database)
    before = store.transact(lambda db: db.execute("SELECT id FROM data_keys").fetchone()[0])
    store.close()
    result, nobody = installation.run("keys", "rotate-data", "7"), installation.run("keys", "rotate-data", "8")
    assert result.output == "1 secrets of user 7 are sealed with a new data key.\n"
    assert nobody.output == "There is nothing to do.\n"
    store = Store(installation.database)
    after = store.transact(lambda db: [row[0] for row in db.execute("SELECT id FROM data_keys")])
    store.close()
    assert (len(after), before in after, opened(installation, installation.master_key)) == (1, False, KEY)


def set_up(installation: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, str]:
    """Set up the factor of user 7, with a wrong code first; return the result and the seed."""
    seed = "A" * 32
    monkeypatch.setattr(pyotp, "random_base32", lambda: seed)
    right = pyotp.HOTP(seed).at(NOW_MS // 30_000)
    wrong = "000000" if right != "000000" else "000001"
    return installation.run("users", "2fa", "7", stdin=f"{wrong}\n{right}\n"), seed


def test_two_factor_is_set_up_by_scanning_or_typing(installation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal shows a picture to scan and the key; a wrong code is asked for again; the disk has no seed."""
    result, seed = set_up(installation, monkeypatch)
    assert result.exit_code == 0
    assert f"Or type this key into it: {seed}" in result.output
    assert re.search("[▀▄█]{8}", result.output)
    assert "That code is wrong. 4 more tries" in result.output
    assert result.output.splitlines()[-1] == "The second factor of user 7 is on."
    store = Store(installation.database)
    kinds = store.transact(
        lambda db: (second_factor.is_on(db, 7), [row[0] for row in db.execute("SELECT kind FROM events")])
    )
    store.close()
    assert kinds == (True, ["key added", "second factor on"])
    assert seed.encode() not in installation.bytes_on_disk()
    assert installation.run("users", "2fa", "7").exit_code == 1


def test_two_factor_reset_turns_it_off(installation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(installation, monkeypatch)
    result, again = (installation.run("users", "2fa", "7", "--reset") for _ in range(2))
    assert (result.exit_code, result.output) == (
        0,
        "The second factor of user 7 is off. /2fa on sets up a new one.\n",
    )
    assert (again.exit_code, installation.count("second_factor")) == (1, 0)


def test_forget_asks_first_and_erases(installation: Any) -> None:
    """A refused question leaves everything; --yes erases it and says what stays elsewhere."""
    assert installation.run("users", "forget", "7", stdin="n\n").exit_code == 1
    assert installation.count("credentials") == 2
    result = installation.run("users", "forget", "7", "--yes")
    assert (result.exit_code, "Backups made before" in result.output) == (0, True)
    store = Store(installation.database)
    found = store.transact(lambda db: people.get_user(db, 7))
    store.close()
    assert (found, installation.count("credentials"), installation.count("data_keys")) == (None, 0, 0)
    assert installation.run("users", "forget", "9", "--yes").exit_code == 1


@pytest.mark.parametrize(("call", "expected"), [("keep_private()", ["0", "0", "0"]), ("None", ["4096", "4096", "1"])])
def test_process_that_keeps_private_dumps_no_core(call: str, expected: list[str]) -> None:
    """Core size limit 0 for good, and not dumpable on Linux. Control: without the call both are as they were."""
    program = (
        "import ctypes, resource\nfrom bot.cli.memory import keep_private\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (4096, 4096))\n"
        f"{call}\nprint(*resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == expected


def test_run_keeps_its_memory_private(installation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is done before the configuration, with its token, is read."""
    done: list[str] = []
    monkeypatch.setattr("bot.cli.run.keep_private", lambda: done.append("private"))
    installation.config.unlink()
    installation.run("run")
    assert done == ["private"]
