"""Where the bot is killed: each failpoint of the order path, and the moment at which its blow falls.

A moment is what the seams of `tests.crash.inside` call out while the bot runs: a transaction about to be committed or
just committed, named by what it changed; a request or reply on the wire; a call to Telegram.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Blow:
    """When the bot dies.

    Attributes:
        moment: What it is doing then.
        most: A seed chooses which time the moment comes it dies, up to this one.
    """

    moment: str
    most: int = 1


STRIKES = {
    "inbox before commit": Blow("before commit: message taken"),
    "inbox after commit": Blow("after commit: message taken"),
    "proposal before commit": Blow("before commit: proposed"),
    "proposal after commit": Blow("after commit: proposed"),
    "card sent, not stored": Blow("telegram: preview sent"),
    "card stored": Blow("after commit: card known"),
    "press received": Blow("telegram: press received"),
    "compare-and-set open": Blow("before commit: confirmed"),
    "confirmed": Blow("after commit: confirmed"),
    "before sending": Blow("before commit: sending"),
    "after sending": Blow("after commit: sending"),
    "limiter wait": Blow("order: waits for the limits"),
    "connected": Blow("order: connected"),
    "half written": Blow("order: half written"),
    "written": Blow("order: written"),
    "headers": Blow("order: head read"),
    "half body": Blow("order: half read"),
    "parsed": Blow("order: parsed"),
    "outcome open": Blow("before commit: outcome"),
    "outcome committed": Blow("after commit: outcome"),
    "card edit sent, not marked": Blow("telegram: card edited", 3),
    "reconcile asked": Blow("look: written", 3),
    "reconcile answered": Blow("look: answered", 3),
    "reconcile committed": Blow("after commit: reconciled", 2),
    "fill commit": Blow("before commit: filled"),
    "cancel sent": Blow("cancel: written"),
    "cancel answered": Blow("cancel: answered"),
    "migration step": Blow("migration: statement", 40),
    "checkpoint": Blow("checkpoint: page", 9),
    "backup page": Blow("backup: page", 9),
}

ANY_COMMIT = Blow("after commit: anything", 9)
UPGRADE_STATEMENTS = 6
"""How many statements the second migration of the test takes; the first takes more than forty."""

LIVELY = ("card edit", "reconcile", "fill", "cancel", "checkpoint", "backup")
"""How the failpoints begin that an order filled or canceled at once would not come to, or not as often."""

ENDED_BY_CANCEL = ("reconcile committed", "cancel sent", "cancel answered")
