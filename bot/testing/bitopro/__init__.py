"""A strict local BitoPro: the spot REST API with its checks, free error texts, shapes and traps.

It is stricter than the real one where that finds mistakes early: unknown fields are refused, so is a payload whose
standard and URL-safe base64 differ, and the e-mail must be the account's.
"""

from bot.testing.bitopro.exchange import StrictBitoPro

__all__ = ["StrictBitoPro"]
