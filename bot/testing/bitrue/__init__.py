"""A strict local Bitrue: its spot API as documented on 2023-07-14, with its checks, codes, shapes and traps.

Where no document tells, an attribute of `StrictBitrue` chooses. Fees are taken in the asset received, as the ledger has
it; the real exchange has been seen to take a buyer's in quote.
"""

from bot.testing.bitrue import endpoints  # noqa: F401  # its handlers register themselves
from bot.testing.bitrue.exchange import StrictBitrue, signature
from bot.testing.bitrue.sockets import BitrueSockets

__all__ = ["BitrueSockets", "StrictBitrue", "signature"]
