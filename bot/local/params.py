"""The parameters of a Bot API call: read from any of its encodings, and held to the real server's rules."""

from __future__ import annotations

import json
import re
from typing import Any

from starlette.requests import Request

from bot.local.models import ApiError, Button, Json
from bot.local.text import Entity, is_valid, units, with_found

AS_TEXT = {"text", "caption", "callback_query_id", "file_id", "language_code", "parse_mode", "photo", "document", "url"}
"""Parameters that are never JSON: a message `123` is a text."""

MAX_TEXT, MAX_CAPTION, MAX_TOAST, MAX_COMMANDS, MAX_BUTTONS = 4096, 1024, 200, 100, 100
MAX_PHOTO_BYTES, MAX_UPLOAD_BYTES = 10_000_000, 50_000_000
BUTTON_ACTIONS = {"callback_data", "url", "copy_text", "web_app", "switch_inline_query"}
BUTTON_STYLES = {None, "primary", "success", "danger"}


def bad(reason: str) -> ApiError:
    """Return the refusal of a request that can never succeed."""
    return ApiError(400, f"Bad Request: {reason}")


class Params(dict[str, Any]):
    """A call's parameters, decoded, and the files sent along by field name."""

    def __init__(self, raw: Json, files: dict[str, tuple[str, bytes]]) -> None:
        super().__init__({name: _decode(name, value) for name, value in raw.items()})
        self.files = files

    def number(self, name: str, default: int | None = None) -> int:
        value = self.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise bad(f"parameter {name!r} must be a number, not {value!r}")
        return value

    def string(self, name: str) -> str:
        value = self.get(name, "")
        if not isinstance(value, str):
            raise bad(f"parameter {name!r} must be a text, not {value!r}")
        return value

    def flag(self, name: str) -> bool:
        return self.get(name) in {True, "True"}

    def array(self, name: str) -> list[Any]:
        value = self.get(name) or []
        if not isinstance(value, list):
            raise bad(f"can't parse {name}: expected an array")
        return value


async def read_params(request: Request) -> Params:
    raw: Json = dict(request.query_params)
    files: dict[str, tuple[str, bytes]] = {}
    if request.headers.get("content-type", "").startswith("application/json"):
        try:
            raw |= await request.json()
        except (ValueError, TypeError):
            raise bad("can't parse JSON object") from None
        return Params(raw, files)
    async with request.form() as form:
        for name, value in form.items():
            if isinstance(value, str):
                raw[name] = value
            else:
                files[name] = (value.filename or name, await value.read())
    return Params(raw, files)


def _decode(name: str, value: Any) -> Any:
    if name in AS_TEXT or not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def read_words(params: Params, name: str, limit: int) -> tuple[str, list[Entity]]:
    text, entities = params.string(name), params.array("entities" if name == "text" else "caption_entities")
    if params.get("parse_mode"):
        raise bad("can't parse entities: the local Telegram takes entities, not parse_mode")
    if name == "text" and not text.strip():
        raise bad("message text is empty")
    if units(text) > limit:
        raise bad("message is too long" if name == "text" else "message caption is too long")
    if not all(is_valid(text, entity) for entity in entities):
        raise bad("ENTITY_BOUNDS_INVALID")
    return text, with_found(text, entities)


def read_keyboard(params: Params) -> list[list[Button]]:
    markup = params.get("reply_markup") or {}
    if not isinstance(markup, dict):
        raise bad("can't parse reply keyboard markup JSON object")
    rows = markup.get("inline_keyboard", [])
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise bad("can't parse inline keyboard button: expected an array of arrays")
    for button in (button for row in rows for button in row):
        _check_button(button)
    if sum(len(row) for row in rows) > MAX_BUTTONS:
        raise bad("reply markup is too long")
    return [row for row in rows if row]


def _check_button(button: Any) -> None:
    if not isinstance(button, dict) or not str(button.get("text", "")).strip():
        raise bad("can't parse inline keyboard button: text is empty")
    if len(BUTTON_ACTIONS & button.keys()) != 1:
        raise bad("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
    if "callback_data" in button and not 1 <= len(str(button["callback_data"]).encode()) <= 64:
        raise bad("BUTTON_DATA_INVALID")
    if "url" in button and not re.match(r"(https?|tg)://\S+$", str(button["url"])):
        raise bad("BUTTON_URL_INVALID")
    if "copy_text" in button and not 1 <= len(str(button["copy_text"].get("text", ""))) <= 256:
        raise bad("BUTTON_COPY_TEXT_INVALID")
    if button.get("style") not in BUTTON_STYLES:
        raise bad("BUTTON_STYLE_INVALID")


def other_markup(params: Params) -> Json | None:
    markup: Json | None = params.get("reply_markup")
    return markup if markup and "inline_keyboard" not in markup else None
