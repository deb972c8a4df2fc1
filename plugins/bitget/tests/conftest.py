"""What the tests of classic accounts, of unified accounts and of stop orders share."""

from pathlib import Path
from typing import Any

from bot import Account, Request, Response
from bot.testing.drive import load_reply, reply

TESTDATA = Path(__file__).parent / "testdata"
CLASSIC = Account(1, "main", facts={"mode": "classic"})
PLACED = load_reply(TESTDATA / "post_v2_place_order.json")  # of classic and unified accounts alike
PLAN_CANCELED = load_reply(TESTDATA / "post_v2_cancel_plan_order.json")


def data(value: Any) -> Response:
    """Bitget's envelope around an answer."""
    return reply({"code": "00000", "msg": "success", "requestTime": 1, "data": value})


NO_PLANS = data({"nextFlag": False, "idLessThan": "", "orderList": None})


def costs(name: str) -> dict[str, int]:
    """What a request takes from the limits: its endpoint's own, and the one of all."""
    return {name: 1, "all": 1}


def get(path: str, **query: str) -> Request:
    """A signed read, as a flow yields it."""
    return Request.get(path, query, costs=costs(f"GET {path}"))


def post(path: str, json: dict[str, Any], *, places: bool = False) -> Request:
    """A signed change, as a flow yields it."""
    return Request.post(path, json, costs=costs(f"POST {path}"), places=places)
