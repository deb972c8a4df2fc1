"""Run a flow without a network: hand it replies, look at its requests and its result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from bot.contract.errors import ExchangeError
from bot.contract.wire import Flow, Request, Response

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Driven(Generic[T]):
    """What came of a flow: its result, and the requests it yielded, in order."""

    result: T
    requests: list[Request]


def drive(flow: Flow[T], *replies: Response | ExchangeError) -> Driven[T]:
    """Run `flow` to its end, answering each request with the next reply.

    Args:
        flow: Not started yet.
        *replies: One for each request. An exception is thrown into the flow, as the core does with what `map_error`
            made of a reply.

    Returns:
        The flow's result and its requests. Whatever the flow raises passes through.

    Raises:
        AssertionError: There were more or fewer replies than requests.
    """
    requests: list[Request] = []
    try:
        requests.append(next(flow))
        for answer in replies:
            requests.append(flow.throw(answer) if isinstance(answer, BaseException) else flow.send(answer))
    except StopIteration as stop:
        unused = len(replies) - len(requests)
        if unused:
            raise AssertionError(
                f"too many replies: the flow ended after {_listed(requests)}; {unused} of {len(replies)} unused"
            ) from None
        return Driven(stop.value, requests)
    flow.close()
    raise AssertionError(f"too few replies: {len(replies)} given, but the flow asked {_listed(requests)}")


def reply(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a reply with `content` as its body: bytes as they are, anything else as JSON."""
    body = content if isinstance(content, bytes) else json.dumps(content, ensure_ascii=False).encode()
    return Response(status, dict(headers or {}), body)


def load_reply(path: str | Path, status: int = 200) -> Response:
    """Return the reply whose body was recorded in the file `path`."""
    return Response(status, {}, Path(path).read_bytes())


def _listed(requests: list[Request]) -> str:
    return f"{len(requests)} requests (" + ", ".join(f"{each.method} {each.path}" for each in requests) + ")"
