"""Telegram's text: finding entities in it, checking them, and turning both into HTML. Pure.

Offsets and lengths count UTF-16 code units: https://core.telegram.org/bots/api#messageentity (read 2026-11-20).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

from markupsafe import Markup, escape

Entity: TypeAlias = dict[str, Any]

TAGS = {
    "bold": "b",
    "italic": "i",
    "underline": "u",
    "strikethrough": "s",
    "code": "code",
    "pre": "pre",
    "blockquote": "blockquote",
    "expandable_blockquote": "blockquote",
}
KINDS = {*TAGS, "spoiler", "text_link", "text_mention", "url", "bot_command", "mention", "hashtag", "cashtag", "email"}
FOUND = re.compile(
    r"(?P<url>https?://[^\s<>\"]*[^\s<>\".,:;!?)])"
    r"|(?<![\w/<>])(?P<bot_command>/[A-Za-z0-9_]{1,64}(?:@[A-Za-z0-9_]{3,32})?)(?![\w/<>])"
    r"|(?<!\w)(?P<mention>@[A-Za-z0-9_]{3,32})(?!\w)"
)


def units(text: str) -> int:
    """Return the length of `text` in UTF-16 code units."""
    return len(text.encode("utf-16-le")) // 2


def cut(text: str, start: int, end: int) -> str:
    """Return `text` between two UTF-16 offsets.

    Raises:
        UnicodeDecodeError: An offset is inside a surrogate pair.
    """
    return text.encode("utf-16-le")[2 * start : 2 * end].decode("utf-16-le")


def find_entities(text: str) -> list[Entity]:
    """Return the commands, addresses and mentions that Telegram marks by itself."""
    return [
        {"type": match.lastgroup, "offset": units(text[: match.start()]), "length": units(match[0])}
        for match in FOUND.finditer(text)
    ]


def is_valid(text: str, entity: object) -> bool:
    """Tell whether Telegram would take `entity` with `text`: known type, within bounds, between characters."""
    if not isinstance(entity, dict) or entity.get("type") not in KINDS:
        return False
    offset, length = entity.get("offset"), entity.get("length")
    if not isinstance(offset, int) or not isinstance(length, int) or offset < 0 or length < 1:
        return False
    if offset + length > units(text) or (entity["type"] == "text_link" and not entity.get("url")):
        return False
    try:
        cut(text, 0, offset), cut(text, offset, offset + length)
    except UnicodeDecodeError:
        return False
    return True


def with_found(text: str, entities: Sequence[Entity]) -> list[Entity]:
    """Return `entities` and the ones Telegram finds by itself where no code, block or link is, in order."""
    solid = [entity for entity in entities if entity["type"] in {"code", "pre", "text_link", *FOUND.groupindex}]
    found = [entity for entity in find_entities(text) if not any(_overlap(entity, other) for other in solid)]
    return sorted([*entities, *found], key=lambda entity: (entity["offset"], -entity["length"]))


def start_payload(url: str, bot_username: str) -> str | None:
    """Return what a deep link to the bot carries, `""` for none, or `None` when `url` leads elsewhere."""
    parts = urlsplit(url)
    if parts.scheme in {"http", "https"} and parts.netloc in {"t.me", "telegram.me"}:
        name = parts.path.strip("/")
    elif parts.scheme == "tg" and parts.netloc == "resolve":
        name = parse_qs(parts.query).get("domain", [""])[0]
    else:
        return None
    if name.lower() != bot_username.lower():
        return None
    return parse_qs(parts.query).get("start", [""])[0]


def to_html(text: str, entities: Sequence[Entity], bot_username: str = "") -> Markup:
    """Return `text` as HTML: everything escaped, every entity a tag, nothing else added."""
    queue = sorted(entities, key=lambda entity: (entity["offset"], -entity["length"]))
    html = _render(text, queue, 0, units(text), bot_username)
    # A block element breaks the line by itself; the newline beside it would show as an empty line.
    return Markup(re.sub(r"\n?(<(pre|blockquote)>.*?</\2>)\n?", r"\1", html, flags=re.DOTALL))  # noqa: S704 - escaped


def _render(text: str, queue: list[Entity], start: int, end: int, bot_username: str) -> str:
    """Consume the entities of `queue` that begin before `end`; one that reaches beyond it is split there."""
    html: list[str] = []
    while queue and queue[0]["offset"] < end:
        entity = queue.pop(0)
        first, last = entity["offset"], entity["offset"] + entity["length"]
        if last > end:
            queue.insert(0, {**entity, "offset": end, "length": last - end})
            queue.sort(key=lambda entity: (entity["offset"], -entity["length"]))
            last = end
        html.append(escape(cut(text, start, first)))
        inner = _render(text, queue, first, last, bot_username)
        html.append(_wrap(entity, cut(text, first, last), inner, bot_username))
        start = last
    html.append(escape(cut(text, start, end)))
    return "".join(html)


def _wrap(entity: Entity, text: str, inner: str, bot_username: str) -> str:
    kind = entity["type"]
    if kind in TAGS:
        return f"<{TAGS[kind]}>{inner}</{TAGS[kind]}>"
    if kind == "spoiler":
        return f'<span class="spoiler" role="button" tabindex="0" aria-label="Show hidden text">{inner}</span>'
    if kind == "bot_command":
        return f'<button type="button" class="link" data-say="{escape(text)}">{inner}</button>'
    if kind in {"text_link", "url"}:
        return link(entity.get("url", text), inner, bot_username)
    return f'<span class="name">{inner}</span>'


def link(url: str, inner: str, bot_username: str, classes: str = "link") -> str:
    """Return an element that opens `url`; one that starts the bot says so in the chat instead of leaving the page."""
    payload = start_payload(url, bot_username)
    if payload is not None:
        command = escape(f"/start {payload}".strip())
        return f'<button type="button" class="{classes}" data-start="{command}">{inner}</button>'
    if urlsplit(url).scheme not in {"http", "https"}:
        return f'<span class="{classes}">{inner}</span>'
    return f'<a class="{classes}" href="{escape(url)}" target="_blank" rel="noopener noreferrer">{inner}</a>'


def _overlap(one: Entity, other: Entity) -> bool:
    return bool(one["offset"] < other["offset"] + other["length"] and other["offset"] < one["offset"] + one["length"])
