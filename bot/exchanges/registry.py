"""Finding plugins and giving each exchange a manager of its own.

Routing is by construction: a manager holds one exchange's plugin and every guard, so no call can reach the plugin of
another exchange, and no credentials either. A guard is a plugin without `exchange_info`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from pluggy import PluginManager

from bot.contract import hookspecs
from bot.contract.errors import PluginError
from bot.contract.models import CONTRACT_VERSION, ExchangeInfo

log = logging.getLogger(__name__)
_HOOKS = tuple(name for name, value in vars(hookspecs).items() if hasattr(value, "tradewire_spec"))


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin as it was found. `module` is `None` and `problem` says why when it could not be loaded."""

    name: str
    module: Any
    distribution: str = "built in"
    version: str = ""
    problem: str = ""


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
    """

    exchanges: Mapping[str, Registered] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)


def discover(load: Callable[[metadata.EntryPoint], Any] = metadata.EntryPoint.load) -> list[Plugin]:
    """Load every installed plugin, one at a time; a broken one is reported, not fatal.

    `TRADEWIRE_LOAD_PLUGINS` names the plugins to load, separated by commas; empty loads none.
    """
    wanted = os.environ.get("TRADEWIRE_LOAD_PLUGINS")
    names = None if wanted is None else {name.strip() for name in wanted.split(",")}
    found = []
    for point in metadata.entry_points(group=hookspecs.PROJECT):
        if names is not None and point.name not in names:
            continue
        source = (point.dist.name, point.dist.version) if point.dist else ("unknown", "")
        try:
            found.append(Plugin(point.name, load(point), *source))
        except (Exception, SystemExit) as error:
            log.error("plugin %s could not be imported", point.name, exc_info=error)
            problem = f"it cannot be imported ({type(error).__name__}: {error}); reinstall or upgrade {source[0]}"
            found.append(Plugin(point.name, None, *source, problem=problem))
    return found


def catalog(plugins: Iterable[Plugin]) -> Catalog:
    """Give each exchange among `plugins` its manager. A plugin that breaks the contract disables its exchange only."""
    plugins = list(plugins)
    broken = {plugin.name: plugin.problem for plugin in plugins if plugin.problem}
    loaded = [plugin for plugin in plugins if not plugin.problem]
    guards: list[Plugin] = []
    exchanges: dict[str, Registered] = {}
    for plugin in sorted(loaded, key=_is_exchange):  # guards first: every exchange gets those that are sound
        try:
            if not _is_exchange(plugin):
                _manager([*guards, plugin])
                guards.append(plugin)
                continue
            registered = register(plugin, guards)
            if registered.info.id in exchanges:
                raise PluginError(f"another plugin already serves the exchange {registered.info.id}; uninstall one")
            exchanges[registered.info.id] = registered
        except Exception as error:
            broken[plugin.name] = str(error)
    return Catalog(exchanges, broken)


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
    except (Exception, SystemExit) as error:
        raise PluginError(f"exchange_info failed ({type(error).__name__}: {error})") from error
    if not isinstance(info, ExchangeInfo):
        raise PluginError("exchange_info must return an ExchangeInfo")
    if info.contract_version != CONTRACT_VERSION:
        raise PluginError(
            f"it was written for contract {info.contract_version}, this is contract {CONTRACT_VERSION}; upgrade "
            + ("tradewire" if info.contract_version > CONTRACT_VERSION else plugin.distribution)
        )
    hooks = tuple(hook for hook in _HOOKS if _owners(manager, hook))
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
        if strangers:
            raise PluginError(f"{strangers[0]} implements {hook}, but has no exchange_info; a guard may only wrap")
    return manager


def _owners(manager: PluginManager, hook: str) -> list[str]:
    impls = getattr(manager.hook, hook).get_hookimpls()
    return [impl.plugin_name for impl in impls if not (impl.wrapper or impl.hookwrapper)]


def _is_exchange(plugin: Plugin) -> bool:
    return hasattr(getattr(plugin.module, "exchange_info", None), "tradewire_impl")
