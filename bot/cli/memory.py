"""The memory of a bot that runs: out of other programs' reach, for keys are opened in it, and seldom searched."""

from __future__ import annotations

import ctypes
import gc
import logging
import resource
import sys

log = logging.getLogger(__name__)

_PR_SET_DUMPABLE = 4
"""prctl(2) of Linux: with 0 no core is dumped, and no program of the same user may attach or read the memory."""
_YOUNG = 10_000
"""New objects before the collector searches them for circles. An order makes hundreds and hardly a circle."""


def keep_private() -> None:
    """Forbid core dumps of this process and of those it starts; on Linux also attaching to it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        log.warning("this system lets other programs of the same user read the bot's memory")


def collect_seldom() -> None:
    """Let the collector pass over what is here, which stays, and search what is new less often than Python would."""
    gc.freeze()
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])
