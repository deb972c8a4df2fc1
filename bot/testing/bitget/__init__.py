"""A strict local Bitget: the spot REST API, classic (v2) and unified (v3), with its checks, codes, shapes and traps.

It is stricter than the real one where that finds mistakes early: unknown parameters and numbers that are not plain
decimal text are refused, and the signature must cover the very bytes sent.
"""

from bot.testing.bitget import classic, unified  # noqa: F401  # their handlers register themselves
from bot.testing.bitget.call import Mode
from bot.testing.bitget.exchange import StrictBitget

__all__ = ["Mode", "StrictBitget"]
