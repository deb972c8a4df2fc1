"""What may be imported: what came with tradewire, and what the lock file lists, byte for byte.

Every plugin here writes a file when any of it runs, so that "not imported" is seen and not believed.
"""

from __future__ import annotations

import importlib
import os
import py_compile
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

from bot.exchanges import registry, trust
from bot.exchanges.lock import Lock
from tests.exchanges.site import Site, isolated
from tests.exchanges.wheels import build, module, unpack

INSTALL = "if you trust it, install it with `tradewire install`, else remove it: pip uninstall"
RESTORE = "so it was not imported; to put back what you installed: tradewire install --restore"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with isolated(tmp_path, monkeypatch) as made:
        yield made


def test_plugin_of_the_lock_file_works(site: Site) -> None:
    """A third party's wheel, listed and unchanged, ends in a usable exchange."""
    entry = site.install()
    (plugin,) = site.found()
    assert (plugin.name, plugin.distribution, plugin.version) == ("acme", "tradewire-acme", "1.0")
    assert (plugin.trust, plugin.sha256, plugin.problem) == ("pinned", entry.sha256, "")
    assert list(registry.catalog([plugin]).exchanges) == ["acme"]
    assert (site.canary.read_text(), plugin.module.rates.RATE) == ("acme ran", 1)


def test_plugin_not_in_the_lock_file_is_not_imported(site: Site) -> None:
    """What pip alone installed is reported, and not one byte of it runs."""
    site.install(listed=False)
    assert site.why() == {
        "acme": f"tradewire-acme is not in plugins.lock with this plugin, so it was not imported; "
        f"{INSTALL} tradewire-acme"
    }


@pytest.mark.parametrize("name", ["tradewire_acme/__init__.py", "tradewire_acme/rates.py"])
def test_changed_file_is_refused_before_anything_runs(site: Site, name: str) -> None:
    """Also where the change is in a module that is imported later."""
    site.install()
    (site.place / name).write_text(f"open({str(site.canary)!r}, 'w')\n")
    assert site.why() == {"acme": f"its file {name} was changed since it was installed, {RESTORE}"}


def test_missing_file_is_refused_before_anything_runs(site: Site) -> None:
    """Half an installation is none."""
    site.install()
    (site.place / "tradewire_acme/rates.py").unlink()
    assert site.why() == {"acme": f"its file tradewire_acme/rates.py is missing, {RESTORE}"}


def test_list_of_files_that_was_changed_along_is_of_no_use(site: Site) -> None:
    """The installed list is not believed: whoever changes a file can change that too."""
    site.install()
    evil = build(site.wheels / "evil", {**site.files(), "tradewire_acme/rates.py": "RATE = 2\n"})
    unpack(evil, site.place)
    assert site.why() == {"acme": f"its file tradewire_acme/rates.py was changed since it was installed, {RESTORE}"}


def test_cached_bytecode_of_other_source_does_not_run(site: Site, tmp_path: Path) -> None:
    """Python prefers bytecode whose header names the source's time and size; here it is never read."""
    site.install()
    real = site.place / "tradewire_acme/rates.py"
    evil = tmp_path / "rates.py"
    evil.write_text("RATE = 9\n")
    os.utime(evil, (real.stat().st_atime, real.stat().st_mtime))
    cached = Path(importlib.util.cache_from_source(str(real)))
    py_compile.compile(str(evil), cfile=str(cached), doraise=True)
    assert site.found()[0].module.rates.RATE == 1


def test_package_added_beside_a_module_is_not_taken(site: Site) -> None:
    """Python would take a package before the module of its name; only what is listed is taken."""
    site.install(
        files={
            "tradewire_acme.py": module(site.canary),
            "acme_rates.py": "RATE = 1\n",
        }
    )
    (site.place / "tradewire_acme").mkdir()
    (site.place / "tradewire_acme/__init__.py").write_text("raise SystemExit('evil ran')")
    (plugin,) = site.found()
    assert (plugin.problem, plugin.module.__file__) == ("", str(site.place / "tradewire_acme.py"))


def test_module_added_to_a_package_is_not_found(site: Site) -> None:
    """Also where the plugin itself would take it, if it were there."""
    site.install()
    (site.place / "tradewire_acme/evil.py").write_text("")
    (plugin,) = site.found()
    assert plugin.problem == ""
    with pytest.raises(ModuleNotFoundError, match="not part of what was installed"):
        importlib.import_module("tradewire_acme.evil")


def test_module_changed_after_the_start_is_refused(site: Site) -> None:
    """What is imported late is compared late: at the moment it is read."""
    lazy = {
        "tradewire_acme/__init__.py": module(site.canary) + "\ndef late():\n    from tradewire_acme import rates\n",
        "tradewire_acme/rates.py": "RATE = 1\n",
    }
    site.install(files=lazy)
    (plugin,) = site.found()
    (site.place / "tradewire_acme/rates.py").write_text("RATE = 2\n")
    with pytest.raises(ImportError, match=r"rates\.py was changed since it was installed"):
        plugin.module.late()


def test_disabled_plugin_is_not_imported(site: Site) -> None:
    """It says so, with the line that switches it on; which works."""
    site.install()
    site.change(lambda lock: lock.switched("acme", on=False))
    assert site.why() == {"acme": "it is switched off; to switch it on: tradewire plugins enable acme"}
    assert [each.is_off for each in site.found()] == [True]
    site.change(lambda lock: lock.switched("acme", on=True))
    assert [each.problem for each in site.found()] == [""]


def test_disabled_plugin_that_came_with_tradewire_is_not_imported(site: Site) -> None:
    """The lock file switches those off too."""
    site.change(lambda lock: lock.switched("bitget", on=False))
    found = {each.name: each.problem for each in registry.discover(site.data) if each.problem}
    assert found == {"bitget": "it is switched off; to switch it on: tradewire plugins enable bitget"}


def test_revoked_wheel_is_not_imported(site: Site) -> None:
    """A version that proved bad stays out, whatever else the lock file says of it."""
    entry = site.install()
    site.change(lambda lock: lock.revoking(entry.sha256))
    text = "this wheel of tradewire-acme is revoked; take another version: tradewire upgrade tradewire-acme"
    assert site.why() == {"acme": text}


def test_plugin_gone_from_the_environment_is_named_with_what_restores_it(site: Site) -> None:
    """An environment that was rebuilt lacks what was added to it."""
    entry = site.install()
    for path in entry.files:
        (site.place / path).unlink()
    for path in site.place.glob("*.dist-info"):
        (path / "RECORD").unlink(missing_ok=True)
        path.rmdir()
    assert site.why() == {
        "acme": "tradewire-acme is not installed here any more; to put it back: tradewire install --restore; "
        "if you do not want it: tradewire uninstall tradewire-acme"
    }


def test_unlisted_plugin_cannot_take_the_name_of_another(site: Site) -> None:
    """The one that came with tradewire keeps its name, and is not blamed for the stranger."""
    site.install(listed=False, name="evil-bitget", points={"tradewire": {"bitget": "tradewire_acme"}})
    why = site.why()
    assert list(why) == ["bitget of evil-bitget"]
    assert "evil-bitget is not in plugins.lock" in why["bitget of evil-bitget"]
    listed = registry.catalog(registry.discover(site.data))
    assert "bitget" in listed.exchanges
    assert "bitget" not in listed.broken


def test_listed_plugin_with_the_name_of_another_is_not_imported(site: Site) -> None:
    """Even a lock file written by hand does not let one plugin stand in for another."""
    site.install(name="evil-bitget", points={"tradewire": {"bitget": "tradewire_acme"}})
    assert site.why() == {
        "bitget of evil-bitget": "another plugin is called bitget; keep one: tradewire uninstall evil-bitget"
    }


@pytest.mark.parametrize("points", [{"bitget": "tradewire_acme"}, {"other": "tradewire_acme"}])
def test_stranger_under_the_name_of_a_distribution_of_ours_is_not_imported(site: Site, points: dict[str, str]) -> None:
    """Only the plugin that tradewire itself brings is taken on its name alone."""
    site.install(listed=False, name="tradewire-bitget", points={"tradewire": points})
    assert list(site.why().values()) == [
        f"tradewire-bitget is not in plugins.lock with this plugin, so it was not imported; {INSTALL} tradewire-bitget"
    ]


def test_entry_point_that_the_lock_file_does_not_have_is_not_imported(site: Site) -> None:
    """A listed distribution that announces one plugin more than it did is asked about again."""
    entry = site.install()
    site.change(lambda lock: lock.having("tradewire-acme", replace(entry, entry_points={"acme": "elsewhere"})))
    assert ["with this plugin" in text for text in site.why().values()] == [True]


def test_lock_file_that_others_can_write_proves_nothing(site: Site) -> None:
    """What came with tradewire still works; the others wait until somebody looked."""
    site.install()
    file = site.data / "plugins.lock"
    file.chmod(0o666)
    assert site.why() == {
        "acme": f"{file} can be written by others, so it proves nothing; check it, then run: chmod 600 {file}"
    }
    assert "bitget" in registry.catalog(registry.discover(site.data)).exchanges


def test_development_plugin_is_imported_unchecked_and_says_so(site: Site) -> None:
    """Only with the mark in the lock file; its author changes it as often as he likes."""
    entry = site.install()
    site.change(lambda lock: lock.having("tradewire-acme", replace(entry, development=True, files={}, sha256="")))
    (site.place / "tradewire_acme/rates.py").write_text("RATE = 2\n")
    (plugin,) = site.found()
    assert (plugin.trust, plugin.problem, plugin.module.rates.RATE) == ("development", "", 2)


BROKEN = [
    ("raise ImportError('no such library')", "it cannot be imported (ImportError: no such library); reinstall or"),
    ("raise SystemExit(3)", "it cannot be imported (SystemExit: 3); reinstall or upgrade tradewire-acme"),
    ("def broken(:", "it cannot be imported (SyntaxError: "),
    ("ticker = None", "it lacks ticker; see the list of required hooks in docs/plugins.md"),
    (
        "from dataclasses import replace\n\n@hookimpl\ndef exchange_info(old=exchange_info):\n"
        "    return replace(old(), contract_version=2)",
        "it was written for contract 2, this is contract 1; upgrade tradewire",
    ),
]


@pytest.mark.parametrize(("end", "sentence"), BROKEN, ids=["import", "exit", "syntax", "hook", "contract"])
def test_broken_plugin_stops_nobody(site: Site, end: str, sentence: str) -> None:
    """A listed plugin that fails is named with what to do, and the others work."""
    site.install(files={"tradewire_acme.py": module(site.canary) + end + "\n"})
    listed = registry.catalog(registry.discover(site.data))
    assert sentence in listed.broken["acme"]
    assert set(listed.exchanges) == {"bitget", "bitopro", "bitrue", "btcc"}


def test_refusal_of_a_plugin_without_a_distribution() -> None:
    """An entry point from nowhere is a stranger."""
    point = metadata.EntryPoint("acme", "tradewire_acme", "tradewire")
    assert trust.refusal(point, Lock()).startswith("unknown is not in plugins.lock")
