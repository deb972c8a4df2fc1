"""Finding plugins and giving each exchange a manager of its own.

Routing is by construction: a manager holds one exchange's plugin and every guard, so no call can reach the plugin of
another exchange, and no credentials either. A guard is a plugin without `exchange_info`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from pluggy import PluginManager

from bot.contract import hookspecs, manifest
from bot.contract.errors import PluginError, UserError
from bot.contract.models import CONTRACT_VERSION, ExchangeInfo
from bot.exchanges import trust
from bot.exchanges.lock import Entry, Lock
from bot.exchanges.lock import read as read_lock
from bot.exchanges.trust import Trust

log = logging.getLogger(__name__)
LOAD_PLUGINS = "TRADEWIRE_LOAD_PLUGINS"
_HOOKS = tuple(name for name, value in vars(hookspecs).items() if hasattr(value, "tradewire_spec"))


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin as it was found. `module` is `None` and `problem` says why when it was not imported.

    Attributes:
        name: The name of its entry point; with the distribution's behind it where another plugin has that name.
        module: What holds its hooks.
        distribution: What it was installed as.
        version: Of the distribution.
        problem: Why it cannot be used, and what to do.
        trust: Why it was imported: it came with tradewire, or the lock file lists it.
        sha256: Of the wheel it was installed from, in hex; empty for one that came with tradewire.
        is_off: Somebody switched it off, which is no fault of it.
    """

    name: str
    module: Any
    distribution: str = "built in"
    version: str = ""
    problem: str = ""
    trust: Trust = ""
    sha256: str = ""
    is_off: bool = False


@dataclass(frozen=True, slots=True)
class Registered:
    """An exchange that can be used: its constants, its hooks, and where they come from."""

    info: ExchangeInfo
    hook: Any
    plugin: Plugin
    hooks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Catalog:
    """All exchanges found.

    Attributes:
        exchanges: Those that can be used, by id.
        broken: Plugin name to the sentence that says what is wrong with it.
        guards: Those that wrap every one of the exchanges, by name.
        unmet: A sentence for each plugin that the configuration needs and that cannot be used.
    """

    exchanges: Mapping[str, Registered] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)
    guards: tuple[str, ...] = ()
    unmet: tuple[str, ...] = ()


def discover(
    directory: Path | None = None, load: Callable[[metadata.EntryPoint, Lock], Any] = trust.load
) -> list[Plugin]:
    """Import every plugin that may be imported, one at a time; a broken or refused one is reported, not fatal.

    Those that come with tradewire may, and those that the lock file lists and whose files are as it says. Of the others
    not one byte runs. `TRADEWIRE_LOAD_PLUGINS` names the plugins to import, separated by commas; empty imports none.

    Args:
        directory: The data directory with the lock file; without one, only what comes with tradewire is imported.
        load: Imports a plugin; raises what the import raises.
    """
    lock, no_lock = _locked(directory)
    points = [(point, no_lock(point) or trust.refusal(point, lock)) for point in _entry_points()]
    points.sort(key=lambda each: (bool(each[1]), trust.trust_of(each[0], lock) != "bundled"))  # the name is the first's
    found: list[Plugin] = []
    for point, problem in points:
        plugin = replace(_found(point, lock), problem=problem)
        if any(other.name == plugin.name for other in found):
            taken = f"another plugin is called {plugin.name}; keep one: tradewire uninstall {plugin.distribution}"
            plugin = replace(plugin, name=f"{plugin.name} of {plugin.distribution}", problem=problem or taken)
        found.append(_import(plugin, point, lock, load))
    return found + [missing for missing in _missing(lock) if all(other.name != missing.name for other in found)]


def _entry_points() -> list[metadata.EntryPoint]:
    return sorted(metadata.entry_points(group=hookspecs.PROJECT), key=lambda point: (point.name, trust.name_of(point)))


def _locked(directory: Path | None) -> tuple[Lock, Callable[[metadata.EntryPoint], str]]:
    """Return the lock, and what speaks against a plugin where the lock file itself cannot be trusted."""
    try:
        return (read_lock(directory) if directory else Lock()), lambda _: ""
    except PluginError as error:
        text = str(error)
        return Lock(), lambda point: "" if trust.trust_of(point, Lock()) == "bundled" else text


def _found(point: metadata.EntryPoint, lock: Lock) -> Plugin:
    entry = lock.plugins.get(trust.name_of(point))
    return Plugin(
        point.name,
        None,
        trust.name_of(point),
        point.dist.version if point.dist else "",
        trust=trust.trust_of(point, lock),
        sha256=entry.sha256 if entry else "",
        is_off=point.name in lock.disabled or not _is_wanted(point.name),
    )


def _is_wanted(name: str) -> bool:
    wanted = os.environ.get(LOAD_PLUGINS)
    return wanted is None or name in {each.strip() for each in wanted.split(",")}


def _import(
    plugin: Plugin, point: metadata.EntryPoint, lock: Lock, load: Callable[[metadata.EntryPoint, Lock], Any]
) -> Plugin:
    if plugin.problem:
        return plugin
    if not _is_wanted(point.name):
        return replace(plugin, problem=f"{LOAD_PLUGINS} does not name it; add it there, or unset that variable")
    try:
        return replace(plugin, module=load(point, lock))
    except (Exception, SystemExit) as error:
        log.error("plugin %s could not be imported", point.name, exc_info=error)
        problem = f"it cannot be imported ({type(error).__name__}: {error}); reinstall or upgrade {plugin.distribution}"
        return replace(plugin, problem=problem)


def _missing(lock: Lock) -> list[Plugin]:
    if not lock.plugins:
        return []  # to look through what is installed takes a while
    installed = {(trust.name_of(point), point.name) for point in _entry_points()}
    return [
        Plugin(
            name,
            None,
            distribution,
            entry.version,
            problem=f"{distribution} is not installed here any more; {_remedy(distribution, entry)}",
            trust="development" if entry.development else "pinned",
            sha256=entry.sha256,
        )
        for distribution, entry in sorted(lock.plugins.items())
        for name in entry.entry_points
        if (distribution, name) not in installed
    ]


def _remedy(distribution: str, entry: Entry) -> str:
    restore = f"tradewire install -e {entry.source}" if entry.development else trust.RESTORE
    return f"to put it back: {restore}; if you do not want it: tradewire uninstall {distribution}"


def catalog(
    plugins: Iterable[Plugin],
    options: Mapping[str, Mapping[str, Any]] | None = None,
    required: Iterable[str] = (),
) -> Catalog:
    """Give each exchange among `plugins` its manager. A plugin that breaks the contract disables its exchange only.

    Args:
        plugins: As they were found.
        options: Plugin name to what the operator set for it.
        required: Names of plugins, or of their distributions, that must be usable; the result says which are not.
    """
    options = options or {}
    plugins = list(plugins)
    broken = {plugin.name: plugin.problem for plugin in plugins if plugin.problem}
    loaded = [plugin for plugin in plugins if not plugin.problem]
    guards: list[Plugin] = []
    exchanges: dict[str, Registered] = {}
    for plugin in sorted(loaded, key=_is_exchange):  # guards first: every exchange gets those that are sound
        try:
            if not _is_exchange(plugin):
                _configure(_manager([*guards, plugin]).hook, plugin, options)
                guards.append(plugin)
                continue
            registered = register(plugin, guards)
            for what, remedy in manifest.objections(registered.info):
                raise PluginError(f"exchange_info {what}. {remedy}")
            _configure(registered.hook, plugin, options)
            if registered.info.id in exchanges:
                raise PluginError(f"another plugin already serves the exchange {registered.info.id}; uninstall one")
            exchanges[registered.info.id] = registered
        except Exception as error:
            broken[plugin.name] = str(error)
    working = tuple(guard.name for guard in guards)
    return Catalog(exchanges, broken, working, tuple(_unmet(plugins, broken, required)))


def register(plugin: Plugin, guards: Iterable[Plugin] = ()) -> Registered:
    """Return the exchange that `plugin` serves, wrapped by `guards`.

    Raises:
        PluginError: A required hook is missing, somebody wraps `sign`, or a hook has a second owner.
        PluginValidationError: A hook has other arguments than its specification; pluggy names it.
    """
    manager = _manager(guards, plugin)
    missing = [hook for hook in hookspecs.REQUIRED if not _owners(manager, hook)]
    if missing:
        raise PluginError(f"it lacks {', '.join(missing)}; see the list of required hooks in docs/plugins.md")
    try:
        info = manager.hook.exchange_info()
    except BaseException as error:
        raise PluginError(f"exchange_info failed ({type(error).__name__}: {error})") from error
    if not isinstance(info, ExchangeInfo):
        raise PluginError("exchange_info must return an ExchangeInfo")
    if info.contract_version != CONTRACT_VERSION:
        raise PluginError(
            f"it was written for contract {info.contract_version}, this is contract {CONTRACT_VERSION}; upgrade "
            + ("tradewire" if info.contract_version > CONTRACT_VERSION else plugin.distribution)
        )
    hooks = tuple(hook for hook in _HOOKS if plugin.name in _owners(manager, hook))
    return Registered(info, manager.hook, plugin, hooks)


def _manager(guards: Iterable[Plugin], exchange: Plugin | None = None) -> PluginManager:
    manager = PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    for each in (*([exchange] if exchange else []), *guards):
        manager.register(each.module, name=each.name)
    manager.check_pending()
    if any(impl.wrapper or impl.hookwrapper for impl in manager.hook.sign.get_hookimpls()):
        raise PluginError("somebody wraps `sign`, which sees secrets; remove that hook")
    for hook in _HOOKS:
        strangers = [owner for owner in _owners(manager, hook) if exchange is None or owner != exchange.name]
        if strangers and hook != "configure":
            raise PluginError(f"{strangers[0]} implements {hook}, but has no exchange_info; a guard may only wrap")
    return manager


def _configure(hook: Any, plugin: Plugin, options: Mapping[str, Mapping[str, Any]]) -> None:
    """Give one plugin its own section, and none of the others'."""
    for impl in hook.configure.get_hookimpls():
        if impl.plugin_name == plugin.name:
            try:
                impl.function(**{name: options.get(plugin.name, {}) for name in impl.argnames})
            except UserError as error:
                raise PluginError(f"[plugins.{plugin.name}]: {error}") from error
            except BaseException as error:
                raise PluginError(f"configure failed ({type(error).__name__}: {error})") from error


def _unmet(plugins: Iterable[Plugin], broken: Mapping[str, str], required: Iterable[str]) -> Iterable[str]:
    for name in required:
        found = [plugin for plugin in plugins if name in (plugin.name, plugin.distribution)]
        if not found:
            yield f"[plugins] needs {name}, which is not installed or not loaded. Install it, or take its name out."
        for plugin in found:
            if plugin.name in broken:
                yield f"[plugins] needs {name}, which cannot be used: {broken[plugin.name]}"


def _owners(manager: PluginManager, hook: str) -> list[str]:
    impls = getattr(manager.hook, hook).get_hookimpls()
    return [impl.plugin_name for impl in impls if not (impl.wrapper or impl.hookwrapper)]


def _is_exchange(plugin: Plugin) -> bool:
    return hasattr(getattr(plugin.module, "exchange_info", None), "tradewire_impl")
