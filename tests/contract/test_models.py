"""The shared words: what plugins and core may rely on about every one of them."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from decimal import Decimal

import pytest

from bot import (
    Account,
    Capabilities,
    ClientId,
    ExchangeError,
    ExchangeInfo,
    KeyPermissions,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Rejected,
)
from bot.contract import errors, models

CLASSES = [value for _, value in inspect.getmembers(models, dataclasses.is_dataclass)]
AMOUNTS = {
    *(
        "amount",
        "price",
        "stop_price",
        "reference_price",
        "average_price",
        "quantity",
        "filled",
        "fee",
        "free",
        "locked",
    ),
    *("price_step", "quantity_step", "quote_step", "min_quantity", "max_quantity", "min_notional"),
    *("min_market_buy_quote", "maker_fee", "taker_fee", "last", "bid", "ask", "high_24h", "low_24h", "open_24h"),
    "base_volume_24h",
}


@pytest.mark.parametrize("model", CLASSES, ids=lambda model: model.__name__)
def test_model_is_frozen_and_has_no_other_attributes(model: type) -> None:
    """A model is passed from hand to hand: nobody may change it or hang something on it."""
    assert model.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert "__slots__" in vars(model)


@pytest.mark.parametrize("model", CLASSES, ids=lambda model: model.__name__)
def test_model_amounts_are_decimal(model: type) -> None:
    """No field is a float, and every price, quantity and fee is a `Decimal`."""
    hints = typing.get_type_hints(model)
    assert float not in {part for hint in hints.values() for part in (hint, *typing.get_args(hint))}
    amounts = {name: hint for name, hint in hints.items() if name in AMOUNTS and model is not models.Limit}
    assert {Decimal in (hint, *typing.get_args(hint)) for hint in amounts.values()} <= {True}


def test_amounts_are_all_found() -> None:
    """Control of the test above: each name it looks for is a field of some model."""
    fields = {field.name for model in CLASSES for field in dataclasses.fields(model)}
    assert fields >= AMOUNTS


def test_defaults_promise_nothing_that_a_plugin_did_not_say() -> None:
    """What an exchange can do, what a key may do and how long a request is valid are unknown until told."""
    assert Capabilities() == Capabilities(
        order_types=frozenset({"limit", "market"}),
        times_in_force=frozenset({"GTC"}),
        post_only=False,
        market_buy_in=frozenset({"quote"}),
        cancel_all=False,
        key_report=False,
        sandbox=False,
        absence_seconds=None,
    )
    permissions = KeyPermissions()
    verdicts = (permissions.can_read, permissions.can_trade, permissions.can_withdraw, permissions.is_ip_bound)
    assert verdicts == ("unknown",) * 4
    assert ClientId().repeats != "refused"


def test_defaults_are_not_shared_between_instances() -> None:
    """One account's facts never show up at another."""
    first, second = Account(1, "a"), Account(2, "b")
    assert first.facts is not second.facts
    one, two = (ExchangeInfo(id=name, title=name, hosts={}, paths=()) for name in "ab")
    assert one.limits is not two.limits


def test_counter_ids_stay_below_the_one_that_everybody_uses() -> None:
    """2147483647 is what other software puts on every order of an exchange with counters."""
    assert ClientId("counter").max_value == 2_147_483_647 - 1


PROVEN = {
    "AuthFailed",
    "ClockSkew",
    "InsufficientFunds",
    "InvalidOrder",
    "MaintenanceError",
    "OrderNotFound",
    "RateLimited",
    "WrongAccountMode",
}


def test_errors_prove_an_order_absent_only_where_they_say_so() -> None:
    """The classes that mean "not executed" are these; the doubt and the unsent are of neither kind."""
    every = [value for _, value in inspect.getmembers(errors, inspect.isclass)]
    assert {kind.__name__ for kind in every if issubclass(kind, Rejected)} == PROVEN | {"Rejected"}
    assert not issubclass(OutcomeUnknown, (Rejected, NotSent))
    assert not issubclass(NotSent, (Rejected, OutcomeUnknown))
    assert all(issubclass(kind, errors.BotError) for kind in every)


def test_errors_are_drawn_at_the_top_of_their_module() -> None:
    """The tree in the docstring has each class once, under its base."""
    drawn: dict[str, int] = {}
    for line in (errors.__doc__ or "").splitlines():
        name = line.replace("│", " ").replace("├──", "   ").replace("└──", "   ")
        if name.strip() and (name == "BotError" or name.startswith("    ")):
            drawn[name.split()[0]] = (len(name) - len(name.lstrip())) // 4
    real = {
        name: len(value.__mro__) - len(Exception.__mro__) - 1
        for name, value in inspect.getmembers(errors, inspect.isclass)
    }
    assert drawn == real


def test_exchange_error_keeps_what_it_was_told() -> None:
    """Cause, code, status, remedy and the exchange's own words, each in its place; the text is the cause alone."""
    error = RateLimited("slow down", until_ms=5, code="30", status=429, remedy="wait", detail="Too many")
    kept = (str(error), error.message, error.until_ms, error.code, error.status, error.remedy, error.detail)
    assert kept == ("slow down", "slow down", 5, "30", 429, "wait", "Too many")
    assert (error.transient, ExchangeError("x", transient=True).transient) == (False, True)
