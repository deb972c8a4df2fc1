"""Asking a plugin without pluggy's detour, where nobody stands between."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from pluggy import HookCaller


def direct(hook: Any) -> Callable[..., Any]:
    """Return what answers as `hook` does, by keyword: its only implementation itself, or else `hook`.

    pluggy gathers, orders and sifts what all implementations say, which takes it 3 us a call. One that is alone, and
    wrapped by no guard, says the same when it is asked itself. So it must be asked after all plugins are registered.
    """
    if not isinstance(hook, HookCaller) or hook.spec is None or not hook.spec.opts["firstresult"]:
        return hook  # type: ignore[no-any-return]
    impls = hook.get_hookimpls()
    if len(impls) != 1 or impls[0].wrapper or impls[0].hookwrapper:
        return hook
    function, names = impls[0].function, impls[0].argnames
    kinds = {each.kind for each in inspect.signature(function).parameters.values()}
    if set(names) == set(hook.spec.argnames) and inspect.Parameter.POSITIONAL_ONLY not in kinds:
        return function
    return lambda **arguments: function(*map(arguments.__getitem__, names))
