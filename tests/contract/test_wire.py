"""Requests, replies and secrets: what crosses the border between a plugin and the wire."""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
import pickle
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import TIMESTAMP, TIMESTAMP_TEXT, Credentials, OutcomeUnknown, Request, Response, Secret

PAIRS = (("b", "2"), ("a", "x y"), ("b", 1))


@pytest.mark.parametrize("make", [Request.get, Request.delete])
def test_request_query_keeps_its_order_and_repeats(make: Callable[..., Request]) -> None:
    """Exchanges sign the query as it is sent: nothing sorts or merges it."""
    request = make("/v1/x", PAIRS)
    assert (request.query, request.target, request.body) == (PAIRS, "/v1/x?b=2&a=x%20y&b=1", b"")


def test_stamped_body_is_sent_in_the_order_in_which_it_is_read() -> None:
    """Whoever signs the fields of a body one after the other signs what is sent, whatever kind of mapping it is."""

    class Loud(dict[str, str]):
        def items(self) -> Any:
            return [(name, value.upper()) for name, value in super().items()]

    moved = OrderedDict(symbol="BTCUSDT", side="buy")
    moved.move_to_end("symbol")
    assert Request.post("/x", moved).stamped(1).body == b'{"side":"buy","symbol":"BTCUSDT"}'
    assert Request.post("/x", Loud(side="buy")).stamped(1).body == b'{"side":"BUY"}'


def test_request_made_from_a_mapping_equals_one_made_from_pairs() -> None:
    """Both ways of writing a query mean the same, for each method."""
    mapping = {"a": 1, "b": "2"}
    pairs = tuple(mapping.items())
    assert Request.get("/x", mapping) == Request.get("/x", pairs) == Request(method="GET", path="/x", query=pairs)
    assert Request.delete("/x", mapping) == Request.delete("/x", pairs)
    assert Request.post("/x", query=mapping) == Request.post("/x", query=pairs)
    assert Request.get("/x").with_query(mapping) == Request.get("/x", pairs)


@pytest.mark.parametrize(
    ("query", "text"),
    [({"a": "b=c"}, "a=b%3Dc"), ({"a": "b&c"}, "a=b%26c"), ({"a=": "b", "c": ""}, "a%3D=b&c="), ({"a&": 1}, "a%26=1")],
)
def test_request_query_tells_what_divides_from_what_is_said(query: dict[str, Any], text: str) -> None:
    """An equals sign or an ampersand inside a name or a value is encoded."""
    assert Request.get("/x", query).query_text == text


def test_request_without_a_query_has_no_question_mark() -> None:
    """Some signatures fail over a lone `?`."""
    assert (Request.get("/x").target, Request.get("/x", {"a": ""}).target) == ("/x", "/x?a=")


def test_request_defaults_are_the_careful_ones() -> None:
    """Signed unless said otherwise, and never an order by accident."""
    assert Request.post("/x") == Request(
        method="POST", path="/x", host="api", auth="signed", query=(), json=None, headers={}, places=False, costs={}
    )


@given(st.lists(st.tuples(st.text(), st.text())))
def test_request_query_can_be_read_back(pairs: list[tuple[str, str]]) -> None:
    """Encoded once, with nothing but unreserved characters left as they are."""
    text = Request.get("/x", pairs).query_text
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%=&")
    read = [tuple(unquote(part) for part in pair.split("=")) for pair in text.split("&")] if pairs else []
    assert read == pairs


@pytest.mark.parametrize("is_stamped", [False, True])
@pytest.mark.parametrize(
    ("json", "body"),
    [
        (None, b""),
        ({}, b"{}"),
        ([], b"[]"),
        ({"b": 1, "a": [True, None]}, b'{"b":1,"a":[true,null]}'),
        ({"text": 'ü/"'}, '{"text":"ü/\\""}'.encode()),
        ({"rate": 1e16, "all": [0.1]}, b'{"rate":1e+16,"all":[0.1]}'),
        ("plain", b'"plain"'),
        ({True: "a", None: "b", 2: "c"}, b'{"true":"a","null":"b","2":"c"}'),
    ],
)
def test_request_body_is_compact_json_in_the_order_given(json: Any, body: bytes, *, is_stamped: bool) -> None:
    """No spaces, no sorting, no escaping of what UTF-8 can say."""
    request = Request.post("/x", json)
    assert (request.stamped(7) if is_stamped else request).body == body


@pytest.mark.parametrize("json", [{"amount": Decimal("0.1")}, {"when": TIMESTAMP}, {"n": {"t": TIMESTAMP}}])
def test_request_body_refuses_what_json_cannot_say(json: Any) -> None:
    """An amount is written as text by the plugin, and a time stands on the first level: neither is guessed."""
    with pytest.raises(TypeError, match="not JSON serializable"):
        _ = Request.post("/x", json).body


@pytest.mark.parametrize(
    "value", [Decimal("0.1"), [Decimal("0.1")], {"t": TIMESTAMP}, [TIMESTAMP], b"text", {1}, date(2026, 1, 1)]
)
@pytest.mark.parametrize("more", [{}, {"t": TIMESTAMP}])
def test_request_stamped_refuses_what_json_cannot_say(value: Any, more: dict[str, Any]) -> None:
    """Though the quick encoder could write some of it, in its own way."""
    with pytest.raises(TypeError, match="not JSON serializable"):
        Request.post("/x", {"a": "b", "value": value, **more}).stamped(7)


def test_request_stamped_takes_any_mapping_with_a_time_in_it() -> None:
    """What is filled in is a copy."""
    stamped = Request.post("/x", MappingProxyType({"a": "b", "t": TIMESTAMP})).stamped(7)
    assert (stamped.json, stamped.body) == ({"a": "b", "t": 7}, b'{"a":"b","t":7}')


def test_request_without_its_body_sends_none() -> None:
    """Also when the body was read before."""
    request = Request.post("/x", {"a": 1})
    assert (request.body, request.with_json(None).body, request.body) == (b'{"a":1}', b"", b'{"a":1}')


def test_request_stamped_again_has_the_later_time() -> None:
    """A read that is repeated is stamped anew from what the flow yielded, which keeps its place for the time."""
    request = Request.post("/x", {"t": TIMESTAMP}, query={"t": TIMESTAMP})
    found = [request.stamped(each) for each in (5, 6)]
    assert [(each.target, each.body) for each in found] == [("/x?t=5", b'{"t":5}'), ("/x?t=6", b'{"t":6}')]


def test_request_stamped_fills_each_timestamp_and_nothing_else() -> None:
    """Text in a query, a number in JSON, text in JSON where that was asked for."""
    request = Request.post("/x", {"t": TIMESTAMP, "s": TIMESTAMP_TEXT, "a": 1}, query=[("t", TIMESTAMP), ("a", "1")])
    stamped = request.stamped(17)
    assert stamped == Request.post("/x", {"t": 17, "s": "17", "a": 1}, query=[("t", "17"), ("a", "1")])
    assert request.json == {"t": TIMESTAMP, "s": TIMESTAMP_TEXT, "a": 1}
    assert Request.post("/x", [1]).stamped(17) == Request.post("/x", [1])


def test_request_with_headers_adds_to_a_copy() -> None:
    """`sign` adds; what the flow wrote stays, and the flow's own request is untouched."""
    request = Request.get("/x", headers={"demo": "1"})
    assert request.with_headers({"key": "k"}) == Request.get("/x", headers={"demo": "1", "key": "k"})
    assert request.headers == {"demo": "1"}
    assert request.with_json({"a": 1}) == Request.get("/x", headers={"demo": "1"}, json={"a": 1})


def test_request_changed_sends_what_was_changed_and_keeps_the_rest() -> None:
    """What was encoded already stays encoded in a copy, but never what the copy changed."""
    request = Request.post("/x", {"a": 1}, query={"b": 2})
    assert (request.target, request.body) == ("/x?b=2", b'{"a":1}')
    found = [request.with_headers({"k": "v"}), request.with_query({"c": 3}), request.with_json([1])]
    assert [(each.target, each.body) for each in found] == [
        ("/x?b=2", b'{"a":1}'),
        ("/x?c=3", b'{"a":1}'),
        ("/x?b=2", b"[1]"),
    ]


@pytest.mark.parametrize(
    "pairs",
    [(*PAIRS, ("s", "é&")), (*PAIRS[:2], ("b", True), ("s", "1")), PAIRS[:2], (("s", "1"), *PAIRS), ()],
    ids=["longer", "equal but spelt otherwise", "shorter", "longer in front", "none"],
)
def test_request_with_another_query_reads_as_one_made_with_it(pairs: Any) -> None:
    """Of the old query nothing is left, however alike the new one is."""
    request = Request.get("/x", PAIRS)
    assert request.query_text == "b=2&a=x%20y&b=1"
    assert request.with_query(pairs).query_text == Request.get("/x", pairs).query_text


_PAIRS = st.lists(st.tuples(st.text(st.sampled_from("aZ0-.=& é"), max_size=3), st.text(max_size=3)), max_size=3)


@given(_PAIRS, _PAIRS, st.booleans())
def test_request_with_more_query_reads_as_one_made_at_once(first: Any, more: Any, is_signed: bool) -> None:
    """Whether or not the first part was encoded before: what was signed is sent as it was signed."""
    request, whole = Request.get("/x", first), Request.get("/x", [*first, *more])
    if is_signed:
        _ = request.query_text
    longer = request.with_more_query(more)
    assert (longer, longer.query_text, longer.target) == (whole, whole.query_text, whole.target)


def test_request_with_more_query_after_another_query_has_only_that_one() -> None:
    """What was encoded of the query before counts no more."""
    request = Request.get("/x", PAIRS)
    assert request.query_text == "b=2&a=x%20y&b=1"
    assert request.with_query({"c": 3}).with_more_query({"s": "1"}).target == "/x?c=3&s=1"


def test_request_with_more_query_takes_a_mapping() -> None:
    """As the other ways to give a query do."""
    assert Request.get("/x", PAIRS).with_more_query({"s": "1"}) == Request.get("/x", (*PAIRS, ("s", "1")))


def test_requests_are_equal_by_what_they_say() -> None:
    """Whether it was encoded yet makes no difference; each of the other things does."""
    request = Request.post("/x", {"a": 1}, query=PAIRS)
    same = Request.post("/x", {"a": 1}, query=PAIRS)
    assert (request.target, request.body) == ("/x?b=2&a=x%20y&b=1", b'{"a":1}')
    assert request == same
    changes: list[dict[str, Any]] = [
        {"method": "PUT"},
        {"path": "/y"},
        {"host": "user"},
        {"auth": "key"},
        {"query": ()},
        {"json": {"a": 2}},
        {"headers": {"a": "b"}},
        {"places": True},
        {"costs": {"general": 1}},
    ]
    assert [request == msgspec.structs.replace(same, **change) for change in changes] == [False] * len(changes)
    assert request != "/x"


def test_request_replaced_in_part_sends_the_new_part() -> None:
    """What was encoded goes along with every kind of copy, and applies only to what it was made of."""
    request = Request.post("/x", {"a": 1}, query={"b": 2})
    assert (request.target, request.body) == ("/x?b=2", b'{"a":1}')
    other = msgspec.structs.replace(request, json={"a": 2}, query=(("b", 3),))
    assert (other.target, other.body) == ("/x?b=3", b'{"a":2}')
    assert (request.target, request.body) == ("/x?b=2", b'{"a":1}')


def test_request_and_response_cannot_be_changed() -> None:
    """What was checked is what is sent; what no request was given is shared by all, and nobody's to fill."""
    for shared in (Request.get("/x").headers, Request.get("/x").costs):
        with pytest.raises(TypeError, match="does not support item assignment"):
            shared["a"] = "b"  # type: ignore[index]
    with pytest.raises(AttributeError, match="immutable"):
        Request.get("/x").path = "/y"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        Response(200, {}, b"").status = 500  # type: ignore[misc]


def test_response_numbers_keep_every_digit() -> None:
    """A fraction becomes a `Decimal`, never a `float`; a whole number stays whole."""
    found = Response(200, {}, b'{"p":0.1234567890123456789,"e":1e-18,"n":12345678901234567890}').json()
    assert found == {"p": Decimal("0.1234567890123456789"), "e": Decimal("1e-18"), "n": 12345678901234567890}
    assert [type(value) for value in found.values()] == [Decimal, Decimal, int]


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a":', b"\xff\xfe\xfd"])
def test_response_that_is_not_json_is_a_doubt(body: bytes) -> None:
    """An unreadable reply proves nothing, and keeps its status for the log."""
    with pytest.raises(OutcomeUnknown) as raised:
        Response(502, {}, body).json()
    assert (str(raised.value), raised.value.status) == ("the exchange sent an unreadable reply", 502)


class Ack(msgspec.Struct):
    """A reply's shape."""

    id: str
    price: Decimal


def test_response_decoded_keeps_every_digit_and_ignores_the_unknown() -> None:
    """Exchanges add fields without notice; amounts arrive as text or as a number."""
    for price in ('"0.12345678901234567890"', "0.12345678901234567890"):
        found = Response(200, {}, f'{{"id":"7","price":{price},"new":1}}'.encode()).decode(Ack)
        assert (found.id, str(found.price)) == ("7", "0.12345678901234567890")


@pytest.mark.parametrize(
    ("body", "named"),
    [(b"<html>", "malformed"), (b'{"id":"7"}', "`price`"), (b'{"id":7,"price":"1"}', "`$.id`"), (b"", "truncated")],
)
def test_response_of_another_shape_is_a_doubt_that_names_the_field(body: bytes, named: str) -> None:
    """What is missing or of another type is said, and nothing is assumed."""
    with pytest.raises(OutcomeUnknown, match="the exchange sent a reply of an unexpected shape") as raised:
        Response(200, {}, body).decode(Ack)
    assert named in str(raised.value)
    assert raised.value.status == 200


def test_secret_shows_itself_to_nobody_but_reveal() -> None:
    """However it is printed it says no more than that it is one."""
    secret = Secret("canary")
    shown = [repr(secret), str(secret), f"{secret}", f"{secret:>20}", repr(Credentials(secret, secret))]
    assert "canary" not in "".join(shown)
    assert shown[:4] == ["Secret(…)"] * 4
    assert secret.reveal() == "canary"


@pytest.mark.parametrize("act", [copy.copy, copy.deepcopy, pickle.dumps, hash], ids=lambda act: act.__name__)
def test_secret_is_neither_copied_nor_stored_nor_hashed(act: Callable[[Any], Any]) -> None:
    """Each of these would be a second home."""
    with pytest.raises(TypeError):
        act(Secret("canary"))


def test_secret_compares_by_value() -> None:
    """Equal to the same secret and to nothing else, its own text included; an empty one is false."""
    secret: object = Secret("ü")
    assert [secret == other for other in (Secret("ü"), Secret("u"), "ü", None)] == [True, False, False, False]
    assert [bool(Secret("x")), bool(Secret("")), bool(Credentials().email)] == [True, False, False]


@given(st.text(max_size=200), st.lists(st.binary(), max_size=3), st.sampled_from(["md5", "sha256", "sha384", "sha512"]))
def test_secret_hmac_is_the_one_of_the_standard_library(value: str, messages: list[bytes], algorithm: str) -> None:
    """For keys shorter and longer than a block, for the first message and for those after it."""
    secret = Secret(value)
    found = [secret.hmac(algorithm, message) for message in messages]
    assert found == [hmac.digest(value.encode(), message, algorithm) for message in messages]


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 127, 128, 129, 300])
@pytest.mark.parametrize("algorithm", sorted(hashlib.algorithms_guaranteed - {"shake_128", "shake_256"}))
def test_secret_hmac_knows_each_algorithm_around_the_size_of_its_block(algorithm: str, length: int) -> None:
    """A key as long as a block is used as it is, a longer one is hashed first."""
    value = "k" * length
    assert Secret(value).hmac(algorithm, b"text") == hmac.digest(value.encode(), b"text", algorithm)


def test_secret_hmac_with_algorithms_in_turn_keeps_them_apart() -> None:
    """What was kept for one algorithm is not used for another."""
    secret, turns = Secret("key"), ["sha256", "sha384", "sha256", "md5"]
    assert [secret.hmac(name, b"m") for name in turns] == [hmac.digest(b"key", b"m", name) for name in turns]


@pytest.mark.parametrize("algorithm", ["", "sha257"])
def test_secret_hmac_unknown_algorithm_is_refused(algorithm: str) -> None:
    """With the name in the error, and the value not."""
    with pytest.raises(ValueError, match="unsupported hash type") as raised:
        Secret("canary").hmac(algorithm, b"m")
    assert "canary" not in str(raised.value)


def test_secret_that_has_signed_shows_no_more_than_one_that_has_not() -> None:
    """The kept hashes are as good as the value to whoever signs with them, so they cannot leave it either."""
    secret = Secret("canary")
    secret.hmac("sha256", b"m")
    assert (repr(secret), f"{secret}", secret == Secret("canary")) == ("Secret(…)", "Secret(…)", True)
    for act in (copy.copy, copy.deepcopy, pickle.dumps, vars):
        with pytest.raises(TypeError):
            act(secret)


_VALUES = st.one_of(st.text(), st.booleans(), st.none(), st.integers(), st.lists(st.text()))


@given(st.dictionaries(st.text(), _VALUES))
def test_body_is_compact_json_whichever_way_it_is_encoded(values: dict[str, Any]) -> None:
    """Flat bodies that are stamped take a quicker encoder; a signature must not notice."""
    request = Request.post("/x", values)
    expected = json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode()
    assert (request.stamped(7).body, request.with_json({**values}).body) == (expected, expected)


def test_body_is_encoded_once_and_anew_for_another_one() -> None:
    """A dict that changes after it was signed changes nothing; a copy with another body has that one."""
    values = {"a": "1", "time": TIMESTAMP}
    request = Request.post("/x", {"a": "1"}, query=(("b", "2"),))
    signed = request.with_headers({"Sign": request.body.decode() + request.query_text})
    request.json["a"] = "changed"
    assert (request.body, signed.body, signed.target) == (b'{"a":"1"}', b'{"a":"1"}', "/x?b=2")
    other = signed.with_json({"c": "3"}).with_query({"d": "4"})
    assert (other.body, other.target, other.headers) == (b'{"c":"3"}', "/x?d=4", signed.headers)
    timeless = {"a": "1"}
    stamped = [Request.post("/x", each).stamped(time) for each, time in ((values, 5), (values, 6), (timeless, 7))]
    values["a"] = timeless["a"] = "changed"
    assert [each.body for each in stamped] == [b'{"a":"1","time":5}', b'{"a":"1","time":6}', b'{"a":"1"}']
    assert Request.get("/x", {"t": TIMESTAMP}).stamped(7).target == "/x?t=7"
