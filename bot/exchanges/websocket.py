"""The way into a socket. The core's only importer of `websockets`, which is imported when the first one is opened."""

from __future__ import annotations

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

__all__ = ["ClientConnection", "Connect", "in_words"]


class Connect(connect):
    """As the library's, and follows no redirect: a signed handshake is for the host it was made for."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Follow none."""
        return exc


def in_words(error: Exception) -> str:
    """Return what may be shown of a failure; empty for what is none of a socket. The library's texts hold addresses."""
    match error:
        case InvalidStatus():
            return f"refused with HTTP {error.response.status_code}"
        case ConnectionClosed():
            return "the connection broke" if error.rcvd is None else f"closed with code {error.rcvd.code}"
        case OSError() | WebSocketException():
            return f"cannot be reached ({type(error).__name__})"
    return ""
