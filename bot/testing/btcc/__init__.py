"""A strict local BTCC: its spot REST API as documented in April 2025, with its checks, codes, shapes and traps.

Where the document leaves a choice open, an attribute of `StrictBTCC` chooses. It has no sockets.
"""

from bot.testing.btcc import endpoints  # noqa: F401  # its handlers register themselves
from bot.testing.btcc.exchange import StrictBTCC, signature

__all__ = ["StrictBTCC", "signature"]
