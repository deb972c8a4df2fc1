"""What travels between the bot's process and the world outside of it: frames over two kinds of local socket."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

_LENGTH = struct.Struct(">I")
_REQUEST = struct.Struct(">QI")


def send(control: socket.socket, message: dict[str, Any]) -> None:
    """Send one message as JSON. What was sent is in the kernel's hands, whatever becomes of the sender."""
    data = json.dumps(message).encode()
    control.sendall(_LENGTH.pack(len(data)) + data)


def receive(control: socket.socket) -> dict[str, Any] | None:
    """Return the next message, or `None` when the other side is gone."""
    head = _exactly(control, _LENGTH.size)
    data = None if head is None else _exactly(control, _LENGTH.unpack(head)[0])
    return None if data is None else json.loads(data)


def request_head(now_us: int, length: int) -> bytes:
    """Return what stands before a request on the wire: when it left, and how long it is when whole."""
    return _REQUEST.pack(now_us, length)


def take_request(buffer: bytearray) -> tuple[int, bytes] | None:
    """Take a whole request out of what has arrived, with the time it left; half a request is none."""
    if len(buffer) < _REQUEST.size:
        return None
    now_us, length = _REQUEST.unpack_from(buffer)
    end = _REQUEST.size + length
    if len(buffer) < end:
        return None
    message = bytes(buffer[_REQUEST.size : end])
    del buffer[:end]
    return now_us, message


def reply(data: bytes) -> bytes:
    """Return a reply as it travels."""
    return _LENGTH.pack(len(data)) + data


def take_reply(buffer: bytearray) -> bytes | None:
    """Take a whole reply out of what has arrived."""
    if len(buffer) < _LENGTH.size:
        return None
    end = _LENGTH.size + _LENGTH.unpack_from(buffer)[0]
    if len(buffer) < end:
        return None
    data = bytes(buffer[_LENGTH.size : end])
    del buffer[:end]
    return data


def _exactly(control: socket.socket, size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        try:
            more = control.recv(size - len(data))
        except ConnectionResetError:
            return None
        if not more:
            return None
        data += more
    return data
