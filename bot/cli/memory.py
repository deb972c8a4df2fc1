"""Keeping the process's memory, in which keys are opened, off the disk and out of other programs' reach."""

from __future__ import annotations

import ctypes
import logging
import resource
import sys

log = logging.getLogger(__name__)

_PR_SET_DUMPABLE = 4
"""prctl(2) of Linux: with 0 no core is dumped, and no program of the same user may attach or read the memory."""


def keep_private() -> None:
    """Forbid core dumps of this process and of those it starts; on Linux also attaching to it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        log.warning("this system lets other programs of the same user read the bot's memory")
