"""What crosses the border between a plugin and the wire: requests, replies, secrets. No I/O here."""

from __future__ import annotations

import functools
import hashlib
import hmac
import json as jsonlib
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Literal, NoReturn, TypeAlias, TypeVar
from urllib.parse import quote

import msgspec

from bot.contract.errors import OutcomeUnknown

T = TypeVar("T")
_as_json = jsonlib.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_as_plain_json = msgspec.json.Encoder().encode
_decoder: Callable[[Any], Any] = functools.lru_cache(maxsize=256)(msgspec.json.Decoder)
_PLAIN = frozenset({str, int, bool, type(None)})
_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_INNER, _OUTER = (bytes(byte ^ mask for byte in range(256)) for mask in (0x36, 0x5C))
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_set = msgspec.structs.force_setattr
_replace = msgspec.structs.replace


class Secret:
    """A value that cannot print, pickle or copy itself. Only `reveal` gives it back."""

    __slots__ = ("_keyed", "_value")

    def __init__(self, value: str) -> None:
        self._value = value
        self._keyed: tuple[str | None, Any, Any] = (None, None, None)

    def reveal(self) -> str:
        """Return the value. Called in `sign` and in the vault, nowhere else."""
        return self._value

    def hmac(self, algorithm: str, message: bytes) -> bytes:
        """Return the HMAC of `message` with the value, in UTF-8, for its key. With it `sign` need not reveal a secret.

        Says what `hmac.digest` says, and sooner: what depends on the key alone is worked out once and lives in here.

        Args:
            algorithm: As `hashlib` names it, such as `sha256`.
            message: What is to be signed.

        Raises:
            ValueError: There is no such algorithm.
        """
        known, inner, outer = self._keyed
        if known != algorithm:
            self._keyed = _, inner, outer = _keyed(algorithm, self._value.encode())
        within, around = inner.copy(), outer.copy()
        within.update(message)
        around.update(within.digest())
        digest: bytes = around.digest()
        return digest

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


# Not tracked by the garbage collector: it holds plain values alone, which make no cycle.
class Request(msgspec.Struct, frozen=True, kw_only=True, eq=False, gc=False):
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
    headers: Mapping[str, str] = _NOTHING
    places: bool = False
    costs: Mapping[str, int] = _NOTHING
    # What was encoded last, behind what it encodes. Copies take it along; to another query or body it does not apply.
    _query_sent: tuple[tuple[tuple[str, Any], ...], str] = ((), "")
    _json_sent: tuple[Any, bytes] = (None, b"")

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

    @property
    def query_text(self) -> str:
        """The query as it is sent, without `?`. Only unreserved characters stay unencoded."""
        query, text = self._query_sent
        if query is not self.query:
            query, text = sent = self.query, _query_text(self.query)
            _set(self, "_query_sent", sent)
        return text

    @property
    def target(self) -> str:
        """Path and query as they are sent."""
        return f"{self.path}?{self.query_text}" if self.query else self.path

    @property
    def body(self) -> bytes:
        """The body as it is sent; empty when there is none. Encoded once: what is signed is what is sent."""
        json, body = self._json_sent
        if json is not self.json:
            json = self.json
            body = b"" if json is None else _as_json(json).encode()
            _set(self, "_json_sent", (json, body))
        return body

    def with_headers(self, headers: Mapping[str, str]) -> Request:
        """Return a copy with `headers` added."""
        return _replace(self, headers={**self.headers, **headers} if self.headers else headers)

    def with_query(self, query: Query) -> Request:
        """Return a copy with another query."""
        return _replace(self, query=_pairs(query))

    def with_more_query(self, query: Query) -> Request:
        """Return a copy with `query` behind its own, such as a signature."""
        more = _pairs(query)
        pairs = (*self.query, *more)
        known, text = self._query_sent
        if more and known and known is self.query:  # the part that was signed is sent as it was signed
            return _replace(self, query=pairs, _query_sent=(pairs, f"{text}&{_query_text(more)}"))
        return _replace(self, query=pairs)

    def with_json(self, json: Any) -> Request:
        """Return a copy with another body."""
        return _replace(self, json=json)

    def stamped(self, timestamp: int) -> Request:
        """Return it with `timestamp` for each `TIMESTAMP` of the query and of the JSON's first level.

        Raises:
            TypeError: JSON cannot say what is in the body.
        """
        found, json = self, self.json
        if type(json) is dict or (json is not None and isinstance(json, Mapping)):
            filled: Any = json
            is_plain = type(json) is dict  # of another mapping the quick encoder writes what it holds, not what it says
            for name, value in json.items():  # one pass: fill in, and find out who may write it
                kind = type(value)
                if kind is str:
                    continue
                if kind is _Timestamp:
                    if filled is json:
                        filled = {**json}
                    filled[name] = timestamp if value is TIMESTAMP else str(timestamp)
                elif kind not in _PLAIN:
                    is_plain = False
            try:
                body = _as_plain_json(filled) if is_plain else _as_json(filled).encode()
            except TypeError:  # a name that is no text; what neither can say is refused once more
                body = _as_json(filled).encode()
            if filled is json:
                _set(self, "_json_sent", (json, body))
            else:
                found = _replace(self, json=filled, _json_sent=(filled, body))
        if self.query:
            stamp = str(timestamp)
            pairs = tuple([pair if type(pair[1]) is not _Timestamp else (pair[0], stamp) for pair in self.query])
            found = _replace(found, query=pairs, _query_sent=(pairs, _query_text(pairs)))
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Request) and _said(self) == _said(other)

    __hash__ = None  # type: ignore[assignment]  # nor have its headers and its body one


_said = attrgetter(*(name for name in Request.__struct_fields__ if not name.startswith("_")))


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


def _keyed(algorithm: str, key: bytes) -> tuple[str, Any, Any]:
    """Return `algorithm` and both hashes of an HMAC (RFC 2104), which have taken in the key and no message yet."""
    size = hashlib.new(algorithm).block_size
    block = (key if len(key) <= size else hashlib.new(algorithm, key).digest()).ljust(size, b"\0")
    return algorithm, hashlib.new(algorithm, block.translate(_INNER)), hashlib.new(algorithm, block.translate(_OUTER))


def _query_text(pairs: Sequence[tuple[str, Any]]) -> str:
    text = "&".join([f"{name}={value}" for name, value in pairs])
    if len(text.encode().translate(None, _UNRESERVED)) == 2 * len(pairs) - 1:  # nothing to encode between the dividers
        return text
    return "&".join([f"{quote(name, safe='')}={quote(f'{value}', safe='')}" for name, value in pairs])


def _pairs(query: Query) -> tuple[tuple[str, Any], ...]:
    if type(query) is tuple:
        return query
    return tuple(query.items()) if type(query) is dict or isinstance(query, Mapping) else tuple(query)
