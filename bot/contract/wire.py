"""What crosses the border between a plugin and the wire: requests, replies, secrets. No I/O here."""

from __future__ import annotations

import hmac
import json as jsonlib
import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, NoReturn, TypeAlias, TypeVar
from urllib.parse import quote

import msgspec

from bot.contract.errors import OutcomeUnknown

T = TypeVar("T")
_as_json = jsonlib.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_as_plain_json = msgspec.json.Encoder().encode
_PLAIN = frozenset({str, int, bool, type(None)})
_UNRESERVED = re.compile(r"[A-Za-z0-9_.~-]*")
_set = object.__setattr__


class Secret:
    """A value that cannot print, pickle or copy itself. Only `reveal` gives it back."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value. Called in `sign` and in the vault, nowhere else."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    __hash__ = None  # type: ignore[assignment]  # a hash would be a fingerprint of the value

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def _refuse(self, *_: object) -> NoReturn:
        raise TypeError("a Secret can be neither copied nor pickled")

    __reduce__ = __reduce_ex__ = __copy__ = __deepcopy__ = __getstate__ = _refuse


@dataclass(frozen=True, slots=True)
class Credentials:
    """One account's keys, as the plugin declared them in `ExchangeInfo.credential_fields`. Reach `sign` alone.

    A field that the exchange does not use stays empty.
    """

    key: Secret = field(default_factory=lambda: Secret(""))
    secret: Secret = field(default_factory=lambda: Secret(""))
    passphrase: Secret = field(default_factory=lambda: Secret(""))
    email: Secret = field(default_factory=lambda: Secret(""))


class _Timestamp:
    """The type of `TIMESTAMP`."""

    def __repr__(self) -> str:
        return "TIMESTAMP"


TIMESTAMP = _Timestamp()
"""Stands in a query or a JSON body where the core puts the time just before signing.

Milliseconds, or seconds where `ExchangeInfo.timestamp_unit` is `"s"`; always text in a query, a number in JSON.
Use `TIMESTAMP_TEXT` where the JSON field must be text.
"""
TIMESTAMP_TEXT = _Timestamp()

Query: TypeAlias = Sequence[tuple[str, Any]] | Mapping[str, Any]
Auth: TypeAlias = Literal["signed", "key", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request, described and not yet sent.

    Attributes:
        method: Upper case.
        path: Begins with `/`; no host, no query.
        host: Name of one of the hosts that the plugin declared in `ExchangeInfo.hosts`.
        auth: `signed` and `key` go through the plugin's `sign`; `none` goes as it is and needs no account.
        query: Ordered pairs; percent-encoded once, in this order, by `target`.
        json: Body, or `None` for an empty body; encoded once, compactly, in this order, by `body`.
        headers: As sent. `sign` adds to them.
        places: Whether this request can create an order. Exactly one request of `place_order` says so.
        costs: Weight against each of the plugin's limits.
    """

    method: str
    path: str
    host: str = "api"
    auth: Auth = "signed"
    query: tuple[tuple[str, Any], ...] = ()
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    places: bool = False
    costs: Mapping[str, int] = field(default_factory=dict)
    _body: bytes | None = field(default=None, init=False, repr=False, compare=False)
    _query_text: str | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def get(cls, path: str, query: Query = (), **options: Any) -> Request:
        """Describe a GET. `query` may be a mapping or pairs."""
        return cls(method="GET", path=path, query=_pairs(query), **options)

    @classmethod
    def post(cls, path: str, json: Any = None, **options: Any) -> Request:
        """Describe a POST with a JSON body."""
        return cls(method="POST", path=path, json=json, **{**options, "query": _pairs(options.get("query", ()))})

    @classmethod
    def delete(cls, path: str, query: Query = (), **options: Any) -> Request:
        """Describe a DELETE. `query` may be a mapping or pairs."""
        return cls(method="DELETE", path=path, query=_pairs(query), **options)

    @property
    def query_text(self) -> str:
        """The query as it is sent, without `?`. Only unreserved characters stay unencoded."""
        if self._query_text is None:
            _set(self, "_query_text", _query_text(self.query))
        assert self._query_text is not None
        return self._query_text

    @property
    def target(self) -> str:
        """Path and query as they are sent."""
        return f"{self.path}?{self.query_text}" if self.query else self.path

    @property
    def body(self) -> bytes:
        """The body as it is sent; empty when there is none. Encoded once: what is signed is what is sent."""
        if self._body is None:
            _set(self, "_body", b"" if self.json is None else _encoded(self.json))
        assert self._body is not None
        return self._body

    def with_headers(self, headers: Mapping[str, str]) -> Request:
        """Return a copy with `headers` added."""
        copy = self._copy()
        _set(copy, "headers", {**self.headers, **headers})
        return copy

    def with_query(self, query: Query) -> Request:
        """Return a copy with another query."""
        copy = self._copy()
        _set(copy, "query", _pairs(query))
        _set(copy, "_query_text", None)
        return copy

    def with_json(self, json: Any) -> Request:
        """Return a copy with another body."""
        copy = self._copy()
        _set(copy, "json", json)
        _set(copy, "_body", None)
        return copy

    def stamped(self, timestamp: int) -> Request:
        """Return a copy in which each `TIMESTAMP` of the query and of the JSON's first level is `timestamp`."""
        query, json = self.query, self.json
        if any(isinstance(value, _Timestamp) for _, value in query):
            query = tuple((name, str(timestamp) if isinstance(value, _Timestamp) else value) for name, value in query)
        if isinstance(json, Mapping) and any(isinstance(value, _Timestamp) for value in json.values()):
            filled = {TIMESTAMP: timestamp, TIMESTAMP_TEXT: str(timestamp)}
            json = {name: filled[value] if isinstance(value, _Timestamp) else value for name, value in json.items()}
        if query is self.query and json is self.json:
            return self
        copy = self if json is self.json else self.with_json(json)
        return copy if query is self.query else copy.with_query(query)

    def _copy(self) -> Request:
        """Return a copy with what was encoded already; `replace` takes three times as long."""
        copy = object.__new__(Request)
        _set(copy, "method", self.method)
        _set(copy, "path", self.path)
        _set(copy, "host", self.host)
        _set(copy, "auth", self.auth)
        _set(copy, "query", self.query)
        _set(copy, "json", self.json)
        _set(copy, "headers", self.headers)
        _set(copy, "places", self.places)
        _set(copy, "costs", self.costs)
        _set(copy, "_body", self._body)
        _set(copy, "_query_text", self._query_text)
        return copy


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP reply. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON; numbers with a fraction are `Decimal`.

        Raises:
            OutcomeUnknown: The body is not JSON.
        """
        try:
            return jsonlib.loads(self.body, parse_float=Decimal)
        except ValueError as error:
            raise OutcomeUnknown("the exchange sent an unreadable reply", status=self.status) from error

    def decode(self, shape: type[T]) -> T:
        """Return the body as `shape`, a msgspec type. Unknown fields are ignored.

        Raises:
            OutcomeUnknown: The body is not JSON, or a field is missing or of another type; names the field.
        """
        try:
            return msgspec.json.decode(self.body, type=shape)
        except msgspec.DecodeError as error:
            text = f"the exchange sent a reply of an unexpected shape ({error})"
            raise OutcomeUnknown(text, status=self.status) from error


Flow: TypeAlias = Generator[Request, Response, T]
"""A generator that yields requests, is sent each `Response`, and returns its result."""


def _encoded(json: Any) -> bytes:
    # The quick way writes the same bytes for text, integers and flags. All else takes the other.
    if type(json) is dict and _PLAIN.issuperset(map(type, json.values())) and all(type(name) is str for name in json):
        return _as_plain_json(json)
    return _as_json(json).encode()


def _query_text(pairs: Sequence[tuple[str, Any]]) -> str:
    texts = [(name, value if type(value) is str else str(value)) for name, value in pairs]
    if not _UNRESERVED.fullmatch("".join([part for pair in texts for part in pair])):
        texts = [(quote(name, safe=""), quote(value, safe="")) for name, value in texts]
    return "&".join([f"{name}={value}" for name, value in texts])


def _pairs(query: Query) -> tuple[tuple[str, Any], ...]:
    return tuple(query.items()) if isinstance(query, Mapping) else tuple(query)
