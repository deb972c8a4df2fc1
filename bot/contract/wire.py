"""What crosses the border between a plugin and the wire: requests, replies, secrets. No I/O here."""

from __future__ import annotations

import functools
import hmac
import json as jsonlib
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from operator import is_
from typing import Any, Generic, Literal, NoReturn, TypeAlias, TypeVar
from urllib.parse import quote

import msgspec

from bot.contract.errors import OutcomeUnknown

T = TypeVar("T")
_as_json = jsonlib.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_as_plain_json = msgspec.json.Encoder().encode
_decoder: Callable[[Any], Any] = functools.lru_cache(maxsize=256)(msgspec.json.Decoder)
_is_plain = frozenset({str, int, bool, type(None)}).__contains__
_is_text = frozenset({str}).__contains__
_UNRESERVED = re.compile(r"[A-Za-z0-9_.~=&-]*")
_set = msgspec.structs.force_setattr


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


class _Once(Generic[T]):
    """A property that is worked out at the first look and then lies in the instance, where no call is needed."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self._name = make.__name__
        self.__doc__ = make.__doc__

    def __get__(self, instance: Any, owner: type | None = None) -> T:
        if instance is None:
            return self  # type: ignore[return-value]
        value: T = self._make(instance)
        instance.__dict__[self._name] = value
        return value


class Request(msgspec.Struct, frozen=True, kw_only=True, dict=True):
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
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    places: bool = False
    costs: Mapping[str, int] = msgspec.field(default_factory=dict)

    @classmethod
    def get(cls, path: str, query: Query = (), **options: Any) -> Request:
        """Describe a GET. `query` may be a mapping or pairs."""
        return cls(method="GET", path=path, query=_pairs(query), **options)

    @classmethod
    def post(cls, path: str, json: Any = None, *, query: Query = (), **options: Any) -> Request:
        """Describe a POST with a JSON body."""
        return cls(method="POST", path=path, json=json, query=_pairs(query), **options)

    @classmethod
    def delete(cls, path: str, query: Query = (), **options: Any) -> Request:
        """Describe a DELETE. `query` may be a mapping or pairs."""
        return cls(method="DELETE", path=path, query=_pairs(query), **options)

    @_Once
    def query_text(self) -> str:
        """The query as it is sent, without `?`. Only unreserved characters stay unencoded."""
        return _query_text(self.query)

    @property
    def target(self) -> str:
        """Path and query as they are sent."""
        return f"{self.path}?{self.query_text}" if self.query else self.path

    @_Once
    def body(self) -> bytes:
        """The body as it is sent; empty when there is none. Encoded once: what is signed is what is sent."""
        return b"" if self.json is None else _encoded(self.json)

    def with_headers(self, headers: Mapping[str, str]) -> Request:
        """Return a copy with `headers` added."""
        return self._with("headers", {**self.headers, **headers})

    def with_query(self, query: Query) -> Request:
        """Return a copy with another query."""
        pairs, count = _pairs(query), len(self.query)
        copy = self._with("query", pairs, encoded="query_text")
        if count and "query_text" in self.__dict__ and len(pairs) > count and all(map(is_, self.query, pairs)):
            copy.__dict__["query_text"] = f"{self.query_text}&{_query_text(pairs[count:])}"  # a signature at its end
        return copy

    def with_json(self, json: Any) -> Request:
        """Return a copy with another body."""
        return self._with("json", json, encoded="body")

    def stamped(self, timestamp: int) -> Request:
        """Return a copy in which each `TIMESTAMP` of the query and of the JSON's first level is `timestamp`."""
        found, text, json = self, str(timestamp), self.json
        if (type(json) is dict or isinstance(json, Mapping)) and _Timestamp in map(type, json.values()):
            filled = {TIMESTAMP: timestamp, TIMESTAMP_TEXT: text}
            pairs = json.items()
            found = found.with_json({name: filled[each] if type(each) is _Timestamp else each for name, each in pairs})
        if self.query and _Timestamp in [type(each) for _, each in self.query]:
            found = found.with_query([(name, text if type(each) is _Timestamp else each) for name, each in self.query])
        return found

    def _with(self, name: str, value: Any, *, encoded: str = "") -> Request:
        """Return a copy with another `name`, which keeps what was encoded already, but for `encoded`."""
        copy: Request = self.__copy__()  # type: ignore[attr-defined]  # every `Struct` has it
        _set(copy, name, value)
        if kept := self.__dict__:
            copy.__dict__.update(kept)
            copy.__dict__.pop(encoded, None)
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
            found: T = _decoder(shape).decode(self.body)
            return found
        except msgspec.DecodeError as error:
            text = f"the exchange sent a reply of an unexpected shape ({error})"
            raise OutcomeUnknown(text, status=self.status) from error


Flow: TypeAlias = Generator[Request, Response, T]
"""A generator that yields requests, is sent each `Response`, and returns its result."""


def _encoded(json: Any) -> bytes:
    # The quick way writes the same bytes for text, integers and flags. All else takes the other.
    if type(json) is dict and all(map(_is_plain, map(type, json.values()))) and all(map(_is_text, map(type, json))):
        return _as_plain_json(json)
    return _as_json(json).encode()


def _query_text(pairs: Sequence[tuple[str, Any]]) -> str:
    text = "&".join([f"{name}={value!s}" for name, value in pairs])
    if _UNRESERVED.fullmatch(text) and text.count("=") == len(pairs) and text.count("&") == max(len(pairs) - 1, 0):
        return text
    return "&".join([f"{quote(name, safe='')}={quote(str(value), safe='')}" for name, value in pairs])


def _pairs(query: Query) -> tuple[tuple[str, Any], ...]:
    if type(query) is tuple:
        return query
    return tuple(query.items()) if type(query) is dict or isinstance(query, Mapping) else tuple(query)
