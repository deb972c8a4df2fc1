"""The chat page: what the people of a `LocalTelegram` see and do, for browsers on this machine only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.local import text
from bot.local.models import Chat, Json, Person
from bot.local.models import Message as ChatMessage
from bot.local.telegram import LocalTelegram

SUGGESTIONS: Mapping[str, Sequence[str]] = {
    "private": ("/start", "/buy BTC/USDT 0.01", "/balance", "/orders", "/price BTC/USDT", "/help"),
    "group": ("/price BTC/USDT", "/alerts", "/help"),
}
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
STATIC = Path(__file__).parent / "static"


class Guard:
    """Let only this machine's own page in, and tell browsers to load nothing from elsewhere.

    A page on the internet can make a browser send requests to loopback: by posting across sites, which the `Origin`
    header shows, or under a name that it points at 127.0.0.1, which the `Host` header shows.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self.app = app
        self.hosts = set(hosts)
        self.origins = {f"http://{host}" for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        origin = headers.get("origin")
        if headers.get("host") not in self.hosts or (origin is not None and origin not in self.origins):
            refusal = PlainTextResponse("Open the address that the program printed, on the same machine.", 403)
            await refusal(scope, receive, send_guarded)
            return
        await self.app(scope, receive, send_guarded)


def routes(
    telegram: LocalTelegram, secret: str, suggestions: Mapping[str, Sequence[str]] = SUGGESTIONS
) -> list[BaseRoute]:
    """Return the page's routes, all below a path that only its reader knows."""

    def viewer_of(values: Mapping[str, Any]) -> Person:
        person = telegram.people.get(_number(values.get("as", next(iter(telegram.people), 0))))
        if person is None:
            raise HTTPException(404, "Nobody here has that id.")
        return person

    async def page(request: Request) -> Response:
        viewer = viewer_of(request.query_params)
        chats = chats_of(telegram, viewer)
        return HTMLResponse(
            TEMPLATES.get_template("page.html").render(
                telegram=telegram,
                viewer=viewer,
                chats=chats,
                groups=[chat for chat in chats if not chat.is_private],
                suggestions=suggestions,
                messages={
                    chat.id: [_show(telegram, viewer, each) for each in telegram.messages(chat.id)] for chat in chats
                },
                menus={chat.id: _menu(telegram, viewer, chat) for chat in chats},
            )
        )

    async def events(request: Request) -> Response:
        since = request.headers.get("last-event-id") or request.query_params.get("since")
        return EventSourceResponse(_stream(telegram, viewer_of(request.query_params), _number(since)))

    async def say(request: Request) -> Response:
        form = await _form(request)
        text = str(form.get("text", "")).strip()
        if not text or len(text) > 4096:
            raise HTTPException(400, "A message has 1 to 4096 characters.")
        reply_to = _number(form["reply_to"]) if form.get("reply_to") else None
        try:
            telegram.say(viewer_of(form).id, _number(form.get("chat")), text, reply_to=reply_to)
        except LookupError as error:
            raise HTTPException(404, str(error)) from None
        return Response(status_code=204)

    async def press(request: Request) -> Response:
        form = await _form(request)
        chat_id, message_id = _number(form.get("chat")), _number(form.get("message"))
        try:
            telegram.press(viewer_of(form).id, chat_id, message_id, str(form.get("data")), stale=True)
        except LookupError as error:
            raise HTTPException(404, str(error)) from None
        return Response(status_code=204)

    async def download(request: Request) -> Response:
        file = telegram.files.get(request.path_params["id"])
        if file is None:
            raise HTTPException(404)
        if file.kind == "photo":
            return Response(file.data, media_type=file.mime_type)
        named = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name, safe='')}"}
        return Response(file.data, media_type="application/octet-stream", headers=named)

    inner = [
        Route("/", page),
        Route("/events", events),
        Route("/say", say, methods=["POST"]),
        Route("/press", press, methods=["POST"]),
        Route("/files/{id}", download),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    return [Mount(f"/{secret}", routes=inner)]


def chats_of(telegram: LocalTelegram, viewer: Person) -> list[Chat]:
    """Return what a person has open: their chat with the bot, then their groups."""
    return [
        telegram.chats[viewer.id],
        *(c for c in telegram.chats.values() if not c.is_private and viewer in c.members),
    ]


def news(telegram: LocalTelegram, viewer: Person, since: int) -> list[ServerSentEvent]:
    """Return what changed for a person after revision `since`, oldest first; its ids are revisions."""
    changes: list[tuple[int, str, str]] = []
    for chat in telegram.chats.values():
        is_open = viewer in chat.members
        for message in (message for message in chat.messages if message.revision > since):
            if not is_open:
                changes.append((message.revision, "unread", str(chat.id)))
            elif message.is_deleted:
                changes.append((message.revision, "gone", _element_id(message)))
            else:
                changes.append((message.revision, "post", _show(telegram, viewer, message)))
        if is_open and chat.typing > since:
            changes.append((chat.typing, "typing", str(chat.id)))
        if is_open and telegram.commands_revision > since:
            changes.append((telegram.commands_revision, "menu", _menu(telegram, viewer, chat)))
    for answer in telegram.answers:
        if answer.revision > since and answer.person_id == viewer.id:
            changes.append((answer.revision, "alert" if answer.is_alert else "toast", answer.text))
    changes.sort(key=lambda change: change[0])
    return [ServerSentEvent(data, event=kind, id=str(revision)) for revision, kind, data in changes]


async def _stream(telegram: LocalTelegram, viewer: Person, since: int) -> AsyncIterator[ServerSentEvent]:
    while not telegram.is_closed:
        found, since = news(telegram, viewer, since), telegram.revision
        for event in found:
            yield event
        # Sending takes time: what changed meanwhile must not wait for the change after it.
        if telegram.revision == since and not telegram.is_closed:
            await telegram.changed()


async def _form(request: Request) -> Mapping[str, Any]:
    if "origin" not in request.headers:
        raise HTTPException(403, "Only the page itself may post here.")
    async with request.form() as form:
        return dict(form)


def _number(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise HTTPException(404, f"{value!r} is not a number.") from None


def _element_id(message: ChatMessage) -> str:
    return f"m{message.chat.id}_{message.id}"


def _show(telegram: LocalTelegram, viewer: Person, message: ChatMessage) -> str:
    name = telegram.bot.username
    return TEMPLATES.get_template("message.html").render(
        element_id=_element_id(message),
        message=message,
        is_own=message.sender is viewer,
        html=text.to_html(message.text, message.entities, name),
        date=datetime.fromtimestamp(message.date, tz=UTC).astimezone(),
        rows=[[_button(button, name) for button in row] for row in message.keyboard],
        wants_reply=bool(message.markup and message.markup.get("force_reply")),
    )


def _button(button: Json, bot_username: str) -> Markup:
    label, style = escape(button["text"]), escape(f"key {button.get('style') or ''}".strip())
    if address := button.get("url") or button.get("web_app", {}).get("url"):
        return Markup(text.link(address, f"{label} <i>↗</i>", bot_username, style))  # noqa: S704 - all parts escaped
    kind, value = ("press", button.get("callback_data"))
    if "copy_text" in button:
        kind, value = "copy", button["copy_text"]["text"]
    return Markup('<button type="button" class="{}" data-{}="{}">{}</button>').format(style, kind, value, label)


def _menu(telegram: LocalTelegram, viewer: Person, chat: Chat) -> str:
    return TEMPLATES.get_template("menu.html").render(chat=chat, commands=telegram.menu(viewer, chat))


TEMPLATES = Environment(
    loader=PackageLoader("bot.local"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
