"""The checks that every exchange plugin passes. Subclass `ExchangeContract` in one file of the plugin's tests.

`tradewire plugin check` runs them too, without pytest. A failure names the plugin's file, the hook and the remedy.
"""

from __future__ import annotations

import base64
import json
import re
import traceback
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import cycle, product
from typing import get_args
from unittest import SkipTest
from urllib.parse import quote

from bot.contract import hookspecs, manifest
from bot.contract.errors import ExchangeError, OutcomeUnknown, Rejected, UserError
from bot.contract.models import CONTRACT_VERSION, Base, Order, OrderType
from bot.contract.streams import Event
from bot.contract.wire import Request, Response, Secret
from bot.testing.drafts import ODD, broken, drafts, numbers, oddities, widened, wire_text
from bot.testing.noise import WORDS, bodies, statuses
from bot.testing.rehearsal import NOW_MS, Call, Vector
from bot.testing.story import Story

__all__ = ["NOW_MS", "ExchangeContract", "Vector"]

NEEDED = {"cancel_all": "cancel_all", "key_report": "key_permissions", "find_by_client_id": "find_order"}
_ANSWER = {"find_order", "open_orders", "order_status", "balances", "markets", "ticker", "place_order"}
"""Hooks for which an empty reply is no answer."""


class ExchangeContract(Story):
    """Subclass this as `TestAcme`, set `plugin` and `credentials`, and let pytest run it.

    Override `exchange` to have every flow run against a strict local exchange; `accounts` where the plugin tells kinds
    of account apart; `may_reject` where the exchange refuses without a code.
    """

    # The plugin and its constants

    def test_plugin_registers(self) -> None:
        """The plugin has the required hooks, with the arguments of their specifications, and nobody wraps `sign`."""
        missing = [name for name in hookspecs.REQUIRED if name not in self.hooks]
        self.require(not missing, ", ".join(missing), "is missing", "Write it; every exchange plugin needs it.")
        sign = self.hook.sign.get_hookimpls()
        is_wrapped = any(impl.wrapper or impl.hookwrapper for impl in sign)
        self.require(not is_wrapped, "sign", "is a wrapper", "Return the signed request from a plain function.")
        version = self.info.contract_version
        text = f"was written for contract {version}, this is {CONTRACT_VERSION}"
        self.require(version == CONTRACT_VERSION, "exchange_info", text, "Upgrade the older of the two.")

    def test_constants_are_sane(self) -> None:
        """Names, hosts, paths, limits and the rule of client order ids are such as the core can use."""
        info = self.info

        def sane(ok: object, what: str, remedy: str) -> None:
            self.require(ok, "exchange_info", what, remedy)

        sane(re.fullmatch(r"[a-z][a-z0-9_]*", info.id), f"has the id {info.id!r}", "Use lower-case letters and digits.")
        sane(info.title, "has no title", "Give the name people use.")
        for what, remedy in manifest.objections(info):
            self.fail("exchange_info", what, remedy)
        sane(len({*info.paths}) == len(info.paths), "lists a path twice", "Leave one of them.")
        for name, limits in info.limits.items():
            good = limits and all(each.amount > 0 and each.seconds > 0 for each in limits)
            sane(good, f"has a limit {name!r} of nothing", "Give an amount and seconds above zero.")
        rule, can = info.client_id, info.capabilities
        sane(rule.max_length >= 8 and rule.max_value >= 10**6, "leaves no room for client order ids", "See ClientId.")
        sane(can.order_types, "declares no order type", "Name at least one in Capabilities.")
        sane(can.order_types <= {*get_args(OrderType)}, "declares an unknown order type", "See OrderType.")
        sized = "market" not in can.order_types or can.market_buy_in
        sane(sized, "declares no unit for market buys", "Name base, quote or both in market_buy_in.")
        sane((can.absence_seconds or 1) > 0, "has absence_seconds below one", "Say None where nothing is documented.")

    def test_capabilities_and_hooks_agree(self) -> None:
        """What is declared is implemented, and what is implemented is declared."""
        can = self.info.capabilities
        for flag, hook in NEEDED.items():
            kept = not getattr(can, flag) or hook in self.hooks
            self.require(kept, hook, f"is missing, though {flag}=True is declared", f"Write it or set {flag}=False.")
        tells = can.absence_seconds is None or "server_time" in self.hooks
        what, remedy = "is missing, though absence_seconds is declared", "Write it: they pass by the exchange's time."
        self.require(tells, "server_time", what, remedy)
        # The other hooks may exist without the flag: key_permissions may tell what is documented of every key.
        declared = can.cancel_all or "cancel_all" not in self.hooks
        self.require(declared, "cancel_all", "is there, but not declared", "Set cancel_all=True in Capabilities.")
        reads = "read_frame" in self.hooks or not self.hooks & {"public_stream", "private_stream"}
        self.require(reads, "read_frame", "is missing, though the plugin has streams", "Write it.")

    def test_error_table_is_written_in_one_style(self) -> None:
        """Each row has a class that a reply can prove, a cause that goes on after a colon, and a sentence of remedy."""
        for code, row in self.info.errors.items():
            where = f"has the error {code!r}"

            def fits(ok: object, what: str, remedy: str, where: str = where) -> None:
                self.require(ok, "exchange_info", f"{where} {what}", remedy)

            fits(issubclass(row.kind, Rejected | OutcomeUnknown), f"of kind {row.kind.__name__}",
                 "Use a Rejected kind, or OutcomeUnknown.")  # fmt: skip
            fits(row.cause and not row.cause.endswith("."), f"with cause {row.cause!r}", "Leave out the full stop.")
            fits(not row.remedy or row.remedy.endswith("."), f"with remedy {row.remedy!r}", "End it with a full stop.")

    # Signing

    def test_sign_is_pure_and_keeps_the_secret(self) -> None:
        """The same in gives the same out, the address stays, the secret counts, and appears nowhere."""
        secret = self.credentials.secret.reveal()
        assert len(secret) >= 8, "give `credentials` a longer secret: a short one could be found by chance"
        other = replace(self.credentials, secret=Secret("another-" + secret[::-1]))
        forms = [secret, quote(secret, safe=""), secret.encode().hex(), base64.b64encode(secret.encode()).decode()]
        for request in self.signed_requests():
            before = wire_text(request)
            signed = self.signed(request)
            same = wire_text(self.signed(request)) == wire_text(signed) and wire_text(request) == before
            self.require(same, "sign", "is not pure", "Read no clock, keep nothing, and copy the request.")
            counts = request.auth != "signed" or wire_text(self.signed(request, other)) != wire_text(signed)
            self.require(counts, "sign", f"ignores the secret for {request.path}", "Sign with it, or say auth='key'.")
            shown = wire_text(signed) + repr(signed)
            self.require(not any(each in shown for each in forms), "sign", "sends the secret", "Send a signature only.")

    def test_sign_gives_the_published_signatures(self) -> None:
        """The examples that the exchange or another client gives come out to the letter."""
        if not self.vectors:
            raise SkipTest("no published signatures: name some in `vectors`; only they prove that the exchange accepts")
        for vector in self.vectors:
            keys = vector.credentials
            request = vector.request.stamped(vector.timestamp)
            signed: Request = self.hook.sign(request=request, credentials=keys, timestamp=vector.timestamp)
            told = {name.lower(): value for name, value in signed.headers.items()}
            for name, value in vector.headers.items():
                what = f"sends {name}: {told.get(name.lower())!r}, where {vector.source} has {value!r}"
                self.require(told.get(name.lower()) == value, "sign", what, "Compare the text that is signed.")
            sent = (signed.target, signed.body)
            wanted = (vector.target or signed.target, vector.body or signed.body)
            self.require(sent == wanted, "sign", f"sends {sent}, where {vector.source} has {wanted}", "Keep its order.")

    def test_secret_is_in_no_error_and_in_no_later_request(self) -> None:
        """Neither an error of `sign`, nor what the plugin does after signing, shows the secret."""
        secret = self.credentials.secret.reveal()
        requests = self.signed_requests()
        for request, ending in product(requests, ("", "\n&=", "ñ\ud800", "\x00")):
            try:
                self.signed(request, replace(self.credentials, secret=Secret(secret + ending)))
            except Exception as crash:
                told = "".join(traceback.format_exception(crash, limit=0))
                self.require(secret not in told, "sign", "puts the secret in an error", "Say what is wrong without it.")
        response = Response(400, {}, b'{"code":"no such code"}')
        for call in self.draft_all():
            for request in call.requests:
                shown = secret in wire_text(request) + repr(request)
                self.require(not shown, call.hook, "has the secret in a request before `sign`", "Leave it to `sign`.")
                error = self.hook.map_error(request=request, response=response)
                told = repr(vars(error)) + str(error) if error else ""
                self.require(secret not in told, "map_error", "tells the secret", "Keep nothing of what `sign` saw.")

    # Errors and frames

    def test_map_error_never_raises_and_rejects_only_by_the_table(self) -> None:
        """Whatever the reply, it is a success, an unknown outcome, or a refusal that the table knows."""
        asked = [request for call in self.draft_all() for request in call.requests]
        asked += [Request(method=path.split()[0], path=path.split()[1]) for path in self.info.paths]

        def check(request: Request, status: int, body: bytes) -> None:
            response = Response(status, {}, body)
            error = self.mapped(request, response)
            if not isinstance(error, Rejected) or error.code in self.info.errors or self.may_reject(request, response):
                return
            what = f"calls HTTP {status} {body!r} {type(error).__name__}, though no row has its code {error.code!r}"
            self.fail("map_error", what, "Return OutcomeUnknown for what the exchange does not document.")

        for name, odd, status in product(WORDS, ODD, (200, 400)):
            check(asked[0], status, json.dumps({name: odd}).encode())
        for request, status, body in zip(cycle(asked), statuses(), bodies(), strict=False):
            check(request, status, body)

    def test_read_frame_never_raises(self) -> None:
        """A frame of a kind that the plugin does not know means nothing, and does no harm."""
        if "read_frame" not in self.hooks:
            raise SkipTest("the plugin has no streams")

        def check(data: str | bytes) -> None:
            try:
                events = self.hook.read_frame(data=data)
            except Exception as error:
                self.fail("read_frame", f"raised {error!r} on {data!r}", "Return () for frames that mean nothing.")
            good = isinstance(events, Sequence) and all(isinstance(each, get_args(Event)) for each in events)
            self.require(good, "read_frame", f"returned {events!r}", "Return a list of events.")

        for name, odd in product(WORDS, ODD):
            check(json.dumps({name: odd}))
        for body in bodies():
            check(body.decode(errors="replace"))
            check(body)

    # Placing

    def test_place_order_sends_one_order_under_our_id(self) -> None:
        """Every declared order leaves by one placing request, on the list, with our id and numbers as plain text."""
        placed = set()
        for call in self.draft_all(carried_out=True):
            order, account = call.arguments["order"], call.arguments["account"]
            what = f"for a {order.type} {order.side} in {type(order.size).__name__}"
            if isinstance(call.error, UserError) and not call.requests:
                continue  # a kind of account that takes no such order
            if call.error is not None:
                self.fail("place_order", f"{what} ended with {call.error!r}", f"See the account {account.label}.")
            placing = [request for request in call.requests if request.places]
            many = f"{what} sent {len(placing)} requests with places=True"
            self.require(len(placing) == 1, "place_order", many, "Send and mark exactly one.")
            shown = wire_text(self.signed(placing[0]))
            ours = order.client_order_id in shown
            self.require(ours, "place_order", f"{what} does not send client_order_id", "Put it in the placing request.")
            placed.add(order.type)
        lost = self.info.capabilities.order_types - placed
        self.require(not lost, "place_order", f"refuses {sorted(lost)}, which is declared", "Declare what it takes.")

    def test_place_order_keeps_every_digit(self) -> None:
        """Prices and sizes leave as they were drafted, with steps from 1 to 0.000000000000000001."""
        for account, places in product(self.accounts, range(19)):
            market, _ = self.market_of(account)
            step = Decimal(1).scaleb(-places)
            market = replace(market, price_step=step, quantity_step=step, quote_step=step)
            for digits, name in product((1, 100, 1234567890123456789), ("limit", "market")):
                amount, price = digits * step, (digits + 1) * step
                ours, size = self.new_id(), Base(amount)
                order = Order(client_order_id=ours, market=market, side="sell", type="market", size=size)
                if name == "limit":
                    order = replace(order, type="limit", price=price)
                if name not in self.info.capabilities.order_types:
                    continue
                call = self.draft(account, order)
                sent = [Decimal(each) for request in call.requests for each in numbers(request)]
                kept = amount in sent and (name == "market" or price in sent)
                what = f"does not send size {amount:f} and price {price:f} as they are"
                self.require(kept, "place_order", what, 'Write numbers with format(number, "f"), without rounding.')

    def test_place_order_refuses_what_is_not_declared(self) -> None:
        """An order of an undeclared type, unit or time in force ends with a UserError before any request."""
        for account in self.accounts:
            market, last = self.market_of(account)
            for order in drafts(market, last):
                if not self.declared(order):
                    call = self.draft(account, replace(order, client_order_id=self.new_id()))
                    what = f"takes a {order.type} {order.side} in {type(order.size).__name__}, {order.time_in_force}"
                    what += ", post-only" if order.post_only else ""
                    good = isinstance(call.error, UserError) and not call.requests
                    self.require(good, "place_order", f"{what}, which is not declared", "Raise UserError at once.")

    # The whole story, where there is a strict local exchange

    def test_story_of_orders_from_market_to_fills(self) -> None:
        """Orders are placed, found, filled and canceled; every request is allowed, every value is what it says."""
        for account in self.accounts:
            calls = self.story(account)
            known = {market.exchange_symbol for call in calls if call.hook == "markets" for market in call.result}
            for call in calls:
                for oddity in oddities(call.result, "its result", known):
                    self.fail(call.hook, f"returned a value in which {oddity}", "Read replies into checked types.")

    def test_new_fields_in_replies_change_nothing(self) -> None:
        """An exchange adds fields without notice; results stay as they were."""
        for call in self.calls():
            result = self.replay(call, lambda _, value: widened(value))
            what = f"made {result!r} of a reply with new fields"
            self.require(result == call.result, call.hook, what, "Ignore fields that you do not know.")

    def test_broken_replies_are_exchange_errors(self) -> None:
        """A field missing or odd never crashes the plugin, and never proves that an order was not executed."""
        for call in self.calls():
            for at, response in enumerate(call.responses):
                heard = json.loads(response.body)
                for odd in (b"<html>", *ODD, *broken(heard)):
                    self._check_broken(call, at, odd, is_list=isinstance(heard, list))

    def _check_broken(self, call: Call, at: int, odd: object, *, is_list: bool) -> None:
        result = self.replay(call, lambda index, value: odd if index == at else value)
        text = f"for the reply {str(odd)[:300]} to {call.requests[at].path}"
        if isinstance(result, Rejected) and call.hook == "place_order" and result.code not in self.info.errors:
            self.fail("map_error", f"rejects {text}", "Return OutcomeUnknown where nothing is proved.")
        if isinstance(result, ExchangeError):
            return
        is_empty = odd == {} or (odd == [] and not is_list)
        if is_empty and call.hook in _ANSWER:
            self.fail(call.hook, f"returns {result!r} {text}", "Raise: an empty reply is no answer.")
        if not isinstance(result, UserError):
            self.check_result(call.hook, result, text)
