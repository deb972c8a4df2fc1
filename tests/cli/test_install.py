"""`tradewire install`, `upgrade` and `uninstall`: what may come in, what is recorded, and what is refused.

Here pip is replaced by unpacking a wheel, as pip does; test_install_pip.py runs pip itself.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bot.accounts.vault import create_master_key
from bot.cli import main, packages
from bot.cli.install import TRUST
from bot.cli.instance import open_instance
from bot.config import Settings
from bot.contract.errors import PluginError
from bot.exchanges import lock as locks
from bot.exchanges.lock import Lock
from bot.exchanges.wheel import digest
from tests.exchanges.site import Site, isolated
from tests.exchanges.wheels import build, module, unpack


class Host(Site):
    """A site with the command line in front of it, and an index to download from."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.config, self.index = directory / "config.toml", directory / "index"
        self.config.write_text(f'[storage]\ndirectory = "{self.data}"\n')
        self.pips: list[tuple[str, ...]] = []

    def run(self, *words: str, stdin: str = "") -> Result:
        line = [words[0], "--config", str(self.config), *words[1:]]
        result = CliRunner().invoke(main, line, input=stdin, env={"COLUMNS": "120"})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def refused(self, *words: str) -> str:
        """Run what must be refused: nothing is recorded, nothing installed, and no byte of a plugin runs."""
        before = (locks.read(self.data), sorted(self.place.rglob("*")))
        result = self.run(*words)
        assert (locks.read(self.data), sorted(self.place.rglob("*"))) == before
        assert (result.exit_code, self.canary.exists()) == (1, False)
        return result.stderr.removeprefix("Error: ").strip()

    def wheel(self, **changes: Any) -> Path:
        return build(self.wheels, changes.pop("files", self.files()), **changes)

    def state(self) -> dict[str, str]:
        rows = json.loads(self.run("plugins", "--json").stdout)
        return {row["name"]: row["state"] for row in rows if row["trust"] != "bundled"}

    def pip(self, *words: str) -> None:
        """Do what pip does, as far as it matters here."""
        self.pips.append(words)
        verb, last = words[0], words[-1]
        if verb == "install":
            self._drop(Path(last).name.partition("-")[0])
            unpack(Path(last), self.place)
        elif verb == "uninstall":
            self._drop(last.replace("-", "_"))
        elif verb == "download":
            found = sorted(self.index.glob(last.partition("==")[0].replace("-", "_") + "*.whl"))
            if not found:
                raise PluginError("pip download failed: No matching distribution found for " + last)
            shutil.copy(found[-1], words[words.index("--dest") + 1])
        else:
            shutil.copy(next(Path(last).glob("*.whl")), words[words.index("--wheel-dir") + 1])

    def _drop(self, name: str) -> None:
        for path in self.place.glob(f"{name}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setattr("tests.exchanges.site.Site", Host)
    with isolated(tmp_path, monkeypatch) as made:
        assert isinstance(made, Host)
        monkeypatch.setattr(packages, "pip", made.pip)
        yield made


def test_install_of_a_wheel_records_and_works(host: Host) -> None:
    """The trust text, the question, the hash; then it is an exchange like any other."""
    wheel = host.wheel()
    hashed = digest(wheel.read_bytes())
    result = host.run("install", str(wheel), stdin="y\n")
    assert result.stdout == (
        f"{TRUST}\nInstall {wheel}? [y/N]: y\n"
        f"tradewire-acme 1.0 is installed, recorded with sha256 {hashed}.\nRestart the bot to use it.\n"
    )
    entry = locks.read(host.data).plugins["tradewire-acme"]
    assert (entry.version, entry.sha256, entry.source, entry.wheel) == ("1.0", hashed, str(wheel), wheel.name)
    assert digest((host.data / "plugins" / wheel.name).read_bytes()) == hashed
    assert host.pips == [
        ("install", "--no-deps", "--no-index", "--no-compile", "--force-reinstall", "--",
         str(host.data / "plugins" / wheel.name))
    ]  # fmt: skip
    assert host.state() == {"acme": "enabled"}


def test_installed_plugin_is_in_use_at_the_next_start_of_the_bot(host: Host, tmp_path: Path) -> None:
    """Nothing else is needed: the bot finds the lock file in its own data directory."""
    key = tmp_path / "master.key"
    create_master_key(key)
    host.run("install", "--yes", str(host.wheel()))
    values = {"storage": {"directory": host.data}, "vault": {"key_file": key}}
    instance = open_instance(Settings.model_validate(values))
    instance.store.close()
    assert {"acme", "acme:paper"} <= instance.gateway.exchanges.keys()


def test_changed_plugin_does_not_stop_the_bot(host: Host, tmp_path: Path) -> None:
    """The bot starts without it, and knows the sentence that /status shows."""
    key = tmp_path / "master.key"
    create_master_key(key)
    host.install()
    (host.place / "tradewire_acme/rates.py").write_text("evil")
    values = {"storage": {"directory": host.data}, "vault": {"key_file": key}}
    instance = open_instance(Settings.model_validate(values))
    instance.store.close()
    assert "was changed since it was installed" in instance.gateway.unusable["acme"]
    assert ("acme" in instance.gateway.exchanges, host.canary.exists()) == (False, False)


def test_install_that_is_not_confirmed_does_nothing(host: Host) -> None:
    """Without a yes nothing is even fetched."""
    result = host.run("install", str(host.wheel()), stdin="\n")
    assert (result.exit_code, host.pips, locks.read(host.data)) == (1, [], Lock())


@pytest.mark.parametrize("source", ["path", "name"])
def test_install_from_a_directory_or_a_name_records_a_wheel(host: Host, source: str) -> None:
    """Whatever the source, what is recorded and installed is one wheel."""
    build(host.index, host.files())
    words = str(host.index) if source == "path" else "tradewire-acme==1.0"
    assert host.run("install", "--yes", words).exit_code == 0
    entry = locks.read(host.data).plugins["tradewire-acme"]
    assert (entry.source, host.state()) == (words, {"acme": "enabled"})


def test_install_with_another_hash_is_refused(host: Host) -> None:
    """S7, wrong hash: whoever names the hash gets that wheel or none."""
    wheel = host.wheel()
    wrong = "0" * 64
    told = host.refused("install", "--yes", "--hash", wrong, str(wheel))
    assert told == f"{wheel.name} has the sha256 {digest(wheel.read_bytes())}, not {wrong}. Nothing was installed."
    right = digest(wheel.read_bytes()).upper()
    assert host.run("install", "--yes", "--hash", right, str(wheel)).exit_code == 0


def test_install_of_another_wheel_for_the_same_version_is_refused(host: Host) -> None:
    """S7, wrong hash: an index that gives something else under a version that is installed was tampered with."""
    build(host.index, {**host.files(), "tradewire_acme/__init__.py": "x = 1\n" + module(host.canary)})
    assert host.run("install", "--yes", "tradewire-acme").exit_code == 0
    host.canary.unlink()
    build(host.index, host.files())
    told = host.refused("install", "--yes", "tradewire-acme")
    assert told.startswith("The index now gives another wheel for tradewire-acme 1.0 than the one installed here")


@pytest.mark.parametrize("name", ["acme-1.0.tar.gz", "./acme-1.0.zip", "https://acme.example/acme.tar.gz"])
def test_install_of_a_source_archive_is_refused(host: Host, name: str) -> None:
    """S7, source archive: it would run before anybody has seen it; pip is not even called."""
    told = host.refused("install", "--yes", name)
    assert told.startswith(f"{name} is a source archive, which is code that runs before anybody has seen it.")
    assert host.pips == []


@pytest.mark.parametrize(
    "source", ["https://acme.example/tradewire_acme-1.0-py3-none-any.whl", "git+http://a.example/b"]
)
def test_install_from_another_kind_of_address_is_refused(host: Host, source: str) -> None:
    """A wheel from somewhere is downloaded first, by the person; git without encryption is nobody's word."""
    told = host.refused("install", "--yes", source)
    assert "of addresses only git ones" in told
    assert host.pips == []


@pytest.mark.parametrize("name", ["acme[x]", "acme @ file:///tmp/x", "acme; python_version>'3'", "a b", "-"])
def test_install_of_what_is_no_name_is_refused(host: Host, name: str) -> None:
    """Nothing that pip would read as more than a name and a version reaches it."""
    host.refused("install", "--yes", "--", name)
    assert host.pips == []


@pytest.mark.parametrize(
    "need", ["evil-helper", "evil-helper>=1", "click>=999", "click @ https://evil.example/click.whl", "???"]
)
def test_install_that_needs_what_is_not_here_is_refused(host: Host, need: str) -> None:
    """S7, unpinned dependency: it is named, and nothing is fetched for it."""
    told = host.refused("install", "--yes", str(host.wheel(requires=["click>=8", need])))
    assert "Nothing is fetched for a plugin" in told
    assert told.startswith("tradewire-acme needs ")
    assert "click>=8," not in told
    assert host.pips == []


def test_install_that_needs_what_tradewire_brings_is_taken(host: Host) -> None:
    """A dependency that is here, or that another system would need, is no obstacle."""
    needs = ["tradewire>=0.1", "click>=8", "evil-helper; sys_platform=='win32'", "evil-helper; extra=='dev'"]
    assert host.run("install", "--yes", str(host.wheel(requires=needs))).exit_code == 0


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"points": {"tradewire": {"bitget": "tradewire_acme"}}}, "wants to be called bitget, as tradewire-bitget is"),
        ({"name": "tradewire-bitget"}, "tradewire-bitget comes with tradewire; it is upgraded with it."),
        ({"files": {"tradewire_bitget/x.py": ""}}, "modules that belong to something else here: tradewire_bitget."),
        ({"files": {"bot/x.py": ""}}, "holds modules that belong to something else here: bot."),
        ({"files": {"click/__init__.py": ""}}, "holds modules that belong to something else here: click."),
        ({"files": {"__main__.py": ""}}, "holds modules that belong to something else here: __main__."),
        ({"files": {"json.py": ""}}, "holds modules that belong to something else here: json."),
    ],
)
def test_install_in_the_place_of_another_is_refused(host: Host, changes: dict[str, Any], sentence: str) -> None:
    """S7, entry-point clash: nobody takes the name, the distribution or a module of another."""
    files = {**host.files(), **changes.pop("files", {})}
    assert sentence in host.refused("install", "--yes", str(host.wheel(files=files, **changes)))


def test_install_under_the_name_of_an_installed_plugin_is_refused(host: Host) -> None:
    """S7, entry-point clash, between two third parties."""
    host.install()
    other = host.wheel(name="tradewire-other", files={"other.py": ""}, points={"tradewire": {"acme": "other"}})
    told = host.refused("install", "--yes", str(other))
    assert told == "tradewire-other wants to be called acme, as tradewire-acme is. Uninstall one of the two."


def test_install_of_a_revoked_wheel_is_refused(host: Host) -> None:
    """S7, revoked version: it does not come back by the front door."""
    wheel = host.wheel()
    host.run("install", "--yes", str(wheel))
    host.canary.unlink()
    assert "This wheel of acme is revoked." in host.run("plugins", "disable", "acme", "--revoke").stdout
    assert host.state() == {"acme": "unusable"}
    assert host.refused("install", "--yes", str(wheel)) == (
        "This wheel of tradewire-acme is revoked here. Take another version."
    )


def test_install_again_does_not_switch_on_what_was_switched_off(host: Host) -> None:
    """S7, disabled version: only `enable` does."""
    host.run("install", "--yes", str(host.wheel()))
    host.run("plugins", "disable", "acme")
    host.canary.unlink()
    assert host.run("install", "--yes", str(host.wheel(version="1.1"))).exit_code == 0
    assert (host.state(), host.canary.exists()) == ({"acme": "disabled"}, False)
    assert host.run("plugins", "enable", "tradewire-acme").stdout == (
        "acme is switched on. Restart the bot: it takes effect at its next start.\n"
    )
    assert host.state() == {"acme": "enabled"}


def test_install_of_a_plugin_that_cannot_be_used_says_why(host: Host) -> None:
    """It is installed, and a script sees that it is of no use."""
    result = host.run("install", "--yes", str(host.wheel(files={"tradewire_acme.py": "import nothing_like_it"})))
    assert (result.exit_code, result.stderr) == (
        1,
        "acme cannot be used: it cannot be imported (ModuleNotFoundError: No module named 'nothing_like_it'); "
        "reinstall or upgrade tradewire-acme\n",
    )


def test_install_that_did_not_arrive_whole_is_not_recorded(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """What pip put there is compared before it is trusted."""

    def careless(*words: str) -> None:
        host.pip(*words)
        (host.place / "tradewire_acme/rates.py").write_text("RATE = 2\n")

    monkeypatch.setattr(packages, "pip", careless)
    result = host.run("install", "--yes", str(host.wheel()))
    assert "did not arrive whole: its file tradewire_acme/rates.py was changed" in result.stderr
    assert (locks.read(host.data), host.canary.exists()) == (Lock(), False)


def test_restore_puts_back_what_a_rebuilt_environment_lost(host: Host) -> None:
    """`plugins` names what is missing and the line; the line works without asking the source again."""
    wheel = host.wheel()
    host.run("install", "--yes", str(wheel))
    wheel.unlink()
    host._drop("tradewire_acme")
    assert "acme: tradewire-acme is not installed here any more; to put it back: tradewire install --restore" in (
        host.run("plugins").stdout
    )
    assert host.run("install", "--restore").stdout == "tradewire-acme 1.0 is back.\nRestart the bot to use them.\n"
    assert host.state() == {"acme": "enabled"}


def test_restore_of_a_tampered_wheel_is_refused(host: Host) -> None:
    """The wheel's hash differs from the lock file: not one byte of it is installed."""
    wheel = host.wheel()
    host.run("install", "--yes", str(wheel))
    host.canary.unlink()
    host._drop("tradewire_acme")
    kept = host.data / "plugins" / wheel.name
    with zipfile.ZipFile(kept, "a") as archive:
        archive.writestr("tradewire_acme/more.py", "evil")
    told = host.refused("install", "--restore")
    assert told == (
        f"{kept} is not the wheel that was installed: its hash differs from plugins.lock. "
        f"Install it from its source again: tradewire install {wheel}"
    )


def test_restore_without_the_kept_wheel_names_the_source(host: Host) -> None:
    """Whoever deleted the wheels is told where they came from."""
    build(host.index, host.files())
    host.run("install", "--yes", "tradewire-acme")
    host.canary.unlink()
    shutil.rmtree(host.data / "plugins")
    assert host.refused("install", "--restore").endswith("tradewire install tradewire-acme")


@pytest.mark.parametrize("words", [(), ("--restore", "x"), ("--restore", "--hash", "0")])
def test_install_without_saying_what_is_a_usage_error(host: Host, words: tuple[str, ...]) -> None:
    """Neither nothing nor two things at once."""
    assert host.run("install", *words).exit_code == 2


def test_upgrade_takes_the_newer_version_and_forgets_the_old(host: Host) -> None:
    """From where it came; the lock file, the kept wheel and what runs are the new ones."""
    build(host.index, host.files())
    host.run("install", "--yes", "tradewire-acme==1.0")
    build(host.index, host.files(), version="1.1")
    result = host.run("upgrade", "acme", stdin="y\n")
    assert f"{TRUST}\nUpgrade tradewire-acme 1.0 from tradewire-acme? [y/N]: y\n" in result.stdout
    assert "tradewire-acme 1.1 is installed" in result.stdout
    assert locks.read(host.data).plugins["tradewire-acme"].version == "1.1"
    assert [path.name for path in (host.data / "plugins").iterdir()] == ["tradewire_acme-1.1-py3-none-any.whl"]
    pips = len(host.pips)
    assert "tradewire-acme 1.1 is the newest there is." in host.run("upgrade", "--yes", "acme").stdout
    assert [words[0] for words in host.pips[pips:]] == ["download"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nobody", "No plugin called nobody was installed; `tradewire plugins` lists them."),
        (
            "acme",
            "tradewire-acme was installed from a wheel; give the new one: tradewire install ./tradewire-acme-....whl",
        ),
    ],
)
def test_upgrade_that_cannot_be_says_what_can(host: Host, name: str, sentence: str) -> None:
    """A wheel has no newer version of itself."""
    host.run("install", "--yes", str(host.wheel()))
    host.canary.unlink()
    assert host.refused("upgrade", "--yes", name) == sentence


def test_upgrade_to_another_distribution_is_refused(host: Host) -> None:
    """A directory that holds something else by now."""
    build(host.index, host.files())
    host.run("install", "--yes", str(host.index))
    host.canary.unlink()
    shutil.rmtree(host.index)
    build(host.index, {"other.py": ""}, name="tradewire-other", points={"tradewire": {"other": "other"}})
    told = host.refused("upgrade", "--yes", "acme")
    assert told == f"{host.index} now holds tradewire-other, not tradewire-acme. Nothing was changed."


def test_uninstall_removes_files_entry_and_wheel(host: Host) -> None:
    """By the plugin's name or the distribution's; nothing stays."""
    host.run("install", "--yes", str(host.wheel()))
    result = host.run("uninstall", "acme", stdin="y\n")
    assert "tradewire-acme 1.0 is removed. A bot that runs has it until it is restarted." in result.stdout
    assert (locks.read(host.data), list(host.place.iterdir())) == (Lock(), [])
    assert list((host.data / "plugins").iterdir()) == []


def test_uninstall_of_what_is_gone_already_forgets_it(host: Host) -> None:
    """What pip does not know any more is only struck off the list."""
    host.run("install", "--yes", str(host.wheel()))
    host._drop("tradewire_acme")
    pips = len(host.pips)
    assert host.run("uninstall", "--yes", "acme").exit_code == 0
    assert (locks.read(host.data), len(host.pips)) == (Lock(), pips)


@pytest.mark.parametrize("name", ["bitget", "tradewire-bitget"])
def test_uninstall_of_a_plugin_that_came_with_tradewire_is_refused(host: Host, name: str) -> None:
    """It can be switched off."""
    assert host.refused("uninstall", "--yes", name) == (
        "tradewire-bitget comes with tradewire. To switch it off: tradewire plugins disable bitget"
    )


def test_development_plugin_is_badged_and_not_upgraded(host: Host) -> None:
    """What is used unchecked is shown so wherever plugins are listed."""
    entry = host.install()
    host.change(lambda lock: lock.having("tradewire-acme", replace(entry, development=True, files={}, sha256="")))
    assert "⚠ development" in host.run("plugins").stdout
    host.canary.unlink()
    assert host.refused("upgrade", "--yes", "acme").startswith("tradewire-acme is used from ./acme; change it there")
