"""The Bot API's methods over a `LocalTelegram`: one small function each, with the real server's refusals.

Source: https://core.telegram.org/bots/api (read 2026-11-20); the texts of refusals are the real server's.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.local.models import ApiError, Chat, File, Json, Message
from bot.local.params import (
    MAX_CAPTION,
    MAX_COMMANDS,
    MAX_PHOTO_BYTES,
    MAX_TEXT,
    MAX_TOAST,
    MAX_UPLOAD_BYTES,
    Params,
    bad,
    other_markup,
    read_keyboard,
    read_params,
    read_words,
)
from bot.local.telegram import LocalTelegram
from bot.local.text import units

MEMBER_RIGHTS = (
    "can_be_edited",
    "is_anonymous",
    "can_manage_chat",
    "can_delete_messages",
    "can_manage_video_chats",
    "can_restrict_members",
    "can_promote_members",
    "can_change_info",
    "can_invite_users",
    "can_post_stories",
    "can_edit_stories",
    "can_delete_stories",
)
GIFTS = ("unlimited_gifts", "limited_gifts", "unique_gifts", "premium_subscription", "gifts_from_channels")
NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same "
    "as a current content and reply markup of the message"
)


Handler: TypeAlias = Callable[[LocalTelegram, Params], Any | Awaitable[Any]]


def routes(telegram: LocalTelegram, token: str) -> list[Route]:
    """Return the Bot API's routes for the one bot that has `token`."""

    async def call(request: Request) -> Response:
        method = request.path_params["method"]
        if request.path_params["token"] != token:
            return _answer(ApiError(401, "Unauthorized").body)
        try:
            params = await read_params(request)
            telegram.calls.append((method, dict(params)))
            handler = METHODS.get(method.lower())
            if handler is None or method.lower() in {name.lower() for name in telegram.unsupported}:
                raise ApiError(404, "Not Found")
            if failure := telegram.next_failure(method):
                return _answer(failure)
            result = handler(telegram, params)
            if inspect.isawaitable(result):
                result = await result
        except ApiError as refusal:
            return _answer(refusal.body)
        return _answer({"ok": True, "result": result})

    async def download(request: Request) -> Response:
        file = telegram.files.get(request.path_params["path"])
        if request.path_params["token"] != token or file is None:
            return _answer(ApiError(404, "Not Found").body)
        return Response(file.data, media_type="application/octet-stream")

    return [
        Route("/bot{token}/{method}", call, methods=["GET", "POST"]),
        Route("/file/bot{token}/{path}", download),
    ]


def _answer(body: Json) -> Response:
    return JSONResponse(body, status_code=body.get("error_code", 200))


# What several methods need


def _chat(telegram: LocalTelegram, params: Params) -> Chat:
    chat = telegram.chats.get(params["chat_id"]) if isinstance(params.get("chat_id"), int) else None
    if chat is None:
        raise bad("chat not found" if params.get("chat_id") else "chat_id is empty")
    return chat


def _writable(telegram: LocalTelegram, params: Params) -> Chat:
    chat = _chat(telegram, params)
    if chat.id in telegram.blocked:
        raise ApiError(403, "Forbidden: bot was blocked by the user")
    if chat.moved_to is not None:
        moved = {"migrate_to_chat_id": chat.moved_to}
        raise ApiError(400, "Bad Request: group chat was upgraded to a supergroup chat", moved)
    if not chat.has_bot:
        raise ApiError(403, f"Forbidden: bot was kicked from the {chat.kind} chat")
    if params.get("message_thread_id") and params.number("message_thread_id") not in chat.topics:
        raise bad("message thread not found")
    return chat


def _message(telegram: LocalTelegram, params: Params, purpose: str) -> Message:
    message = telegram.find(_chat(telegram, params).id, params.number("message_id", 0))
    if message is None:
        raise bad(f"message to {purpose} not found")
    return message


def _own_message(telegram: LocalTelegram, params: Params) -> Message:
    message = _message(telegram, params, "edit")
    if message.sender is not telegram.bot:
        raise bad("message can't be edited")
    return message


def _reply_to(telegram: LocalTelegram, params: Params, chat: Chat) -> Message | None:
    wanted = params.get("reply_parameters")
    if not wanted:
        return None
    message = telegram.find(chat.id, wanted.get("message_id", 0))
    if message is None and not wanted.get("allow_sending_without_reply"):
        raise bad("message to be replied not found")
    return message


def _send(telegram: LocalTelegram, params: Params, **content: Any) -> Json:
    chat = _writable(telegram, params)
    reply_to, keyboard = _reply_to(telegram, params, chat), read_keyboard(params)
    return telegram.post(
        chat,
        telegram.bot,
        reply_to=reply_to,
        keyboard=keyboard,
        markup=other_markup(params),
        thread_id=params.get("message_thread_id"),
        is_silent=params.flag("disable_notification"),
        **content,
    ).to_json()


def _change(telegram: LocalTelegram, message: Message, **content: Any) -> Json:
    if all(getattr(message, name) == value for name, value in content.items()):
        raise bad(NOT_MODIFIED)
    telegram.change(message, **content)
    return message.to_json()


# Methods


def get_me(telegram: LocalTelegram, params: Params) -> Json:
    return {
        **telegram.bot.to_json(),
        "can_join_groups": True,
        "can_read_all_group_messages": not telegram.privacy,
        "supports_inline_queries": False,
    }


def get_updates(telegram: LocalTelegram, params: Params) -> Awaitable[list[Json]]:
    if telegram.webhook:
        raise ApiError(409, "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to "
                            "delete the webhook first")  # fmt: skip
    allowed = set(params.array("allowed_updates")) if "allowed_updates" in params else None
    limit = min(max(params.number("limit", 100), 1), 100)
    return telegram.take_updates(params.number("offset", 0), limit, params.number("timeout", 0), allowed)


def send_message(telegram: LocalTelegram, params: Params) -> Json:
    text, entities = read_words(params, "text", MAX_TEXT)
    return _send(telegram, params, text=text, entities=entities)


def send_photo(telegram: LocalTelegram, params: Params) -> Json:
    return _send_file(telegram, params, "photo", MAX_PHOTO_BYTES)


def send_document(telegram: LocalTelegram, params: Params) -> Json:
    return _send_file(telegram, params, "document", MAX_UPLOAD_BYTES)


def _send_file(telegram: LocalTelegram, params: Params, kind: Literal["photo", "document"], limit: int) -> Json:
    text, entities = read_words(params, "caption", MAX_CAPTION)
    chat, keyboard = _writable(telegram, params), read_keyboard(params)
    file = _file(telegram, params, kind, limit)
    reply_to = _reply_to(telegram, params, chat)
    return telegram.post(
        chat, telegram.bot, text=text, entities=entities, keyboard=keyboard, reply_to=reply_to, file=file
    ).to_json()


def _file(telegram: LocalTelegram, params: Params, kind: Literal["photo", "document"], limit: int) -> File:
    named = params.string(kind)
    if named in telegram.files:
        return telegram.files[named]
    field = named.removeprefix("attach://") or kind
    if field not in params.files:
        raise bad("wrong file identifier/HTTP URL specified" if named else f"there is no {kind} in the request")
    name, data = params.files[field]
    if not data:
        raise bad("file must be non-empty")
    if len(data) > limit:
        raise ApiError(413, "Request Entity Too Large")
    file = File("", kind, name, data)
    if kind == "photo" and not file.mime_type.startswith("image/"):
        raise bad("IMAGE_PROCESS_FAILED")
    return telegram.add_file(kind, name, data)


def edit_message_text(telegram: LocalTelegram, params: Params) -> Json:
    message, keyboard = _own_message(telegram, params), read_keyboard(params)
    text, entities = read_words(params, "text", MAX_TEXT)
    if message.file:
        raise bad("there is no text in the message to edit")
    return _change(telegram, message, text=text, entities=entities, keyboard=keyboard)


def edit_message_caption(telegram: LocalTelegram, params: Params) -> Json:
    message, keyboard = _own_message(telegram, params), read_keyboard(params)
    text, entities = read_words(params, "caption", MAX_CAPTION)
    if not message.file:
        raise bad("there is no caption in the message to edit")
    return _change(telegram, message, text=text, entities=entities, keyboard=keyboard)


def edit_message_reply_markup(telegram: LocalTelegram, params: Params) -> Json:
    return _change(telegram, _own_message(telegram, params), keyboard=read_keyboard(params))


def delete_message(telegram: LocalTelegram, params: Params) -> bool:
    message = _message(telegram, params, "delete")
    is_admin = message.chat.is_private or telegram.bot.id in message.chat.admins
    if message.sender is not telegram.bot and not is_admin:
        raise bad("message can't be deleted")
    telegram.change(message, is_deleted=True)
    return True


def pin_chat_message(telegram: LocalTelegram, params: Params) -> bool:
    return _pin(telegram, params, is_pinned=True)


def unpin_chat_message(telegram: LocalTelegram, params: Params) -> bool:
    return _pin(telegram, params, is_pinned=False)


def _pin(telegram: LocalTelegram, params: Params, *, is_pinned: bool) -> bool:
    message = _message(telegram, params, "pin")
    if not message.chat.is_private and telegram.bot.id not in message.chat.admins:
        raise bad("not enough rights to manage pinned messages in the chat")
    telegram.change(message, is_pinned=is_pinned)
    return True


def answer_callback_query(telegram: LocalTelegram, params: Params) -> bool:
    query_id, text = params.string("callback_query_id"), params.string("text")
    if query_id not in telegram.queries:
        raise bad("query is too old and response timeout expired or query ID is invalid")
    if units(text) > MAX_TOAST:
        raise bad("MESSAGE_TOO_LONG")
    telegram.answer(query_id, text, is_alert=params.flag("show_alert"))
    return True


def get_file(telegram: LocalTelegram, params: Params) -> Json:
    file = telegram.files.get(params.string("file_id"))
    if file is None:
        raise bad("wrong file_id or the file is temporarily unavailable")
    return {**file.to_json(), "file_path": file.id}


def _scope(params: Params) -> tuple[str, str]:
    return json.dumps(params.get("scope") or {"type": "default"}, sort_keys=True), params.string("language_code")


def set_my_commands(telegram: LocalTelegram, params: Params) -> bool:
    commands = params.array("commands")
    if len(commands) > MAX_COMMANDS:
        raise bad("BOT_COMMANDS_TOO_MUCH")
    for command in commands:
        if not re.fullmatch(r"/?[a-z0-9_]{1,32}", str(command.get("command"))):
            raise bad("BOT_COMMAND_INVALID")
        if not 1 <= len(str(command.get("description", ""))) <= 256:
            raise bad("BOT_COMMAND_DESCRIPTION_INVALID")
    telegram.set_commands(*_scope(params), commands)
    return True


def delete_my_commands(telegram: LocalTelegram, params: Params) -> bool:
    telegram.set_commands(*_scope(params), None)
    return True


def get_my_commands(telegram: LocalTelegram, params: Params) -> list[Json]:
    return telegram.commands.get(_scope(params), [])


def send_chat_action(telegram: LocalTelegram, params: Params) -> bool:
    telegram.show_typing(_writable(telegram, params))
    return True


def get_chat(telegram: LocalTelegram, params: Params) -> Json:
    gifts = dict.fromkeys(GIFTS, False)
    chat = _chat(telegram, params).to_json()
    return {**chat, "accent_color_id": 0, "max_reaction_count": 11, "accepted_gift_types": gifts}


def get_chat_member(telegram: LocalTelegram, params: Params) -> Json:
    chat, user_id = _chat(telegram, params), params.number("user_id")
    if not chat.has_bot:
        raise ApiError(403, f"Forbidden: bot is not a member of the {chat.kind} chat")
    person = next((each for each in [telegram.bot, *telegram.people.values()] if each.id == user_id), None)
    if person is None:
        raise bad("user not found")
    user = {"user": person.to_json()}
    if person.id in chat.admins:
        return {**user, "status": "administrator", **dict.fromkeys(MEMBER_RIGHTS, False)}
    return {**user, "status": "member" if person in [telegram.bot, *chat.members] else "left"}


def get_chat_administrators(telegram: LocalTelegram, params: Params) -> list[Json]:
    chat = _chat(telegram, params)
    if chat.is_private:
        raise bad("there are no administrators in the private chat")
    return [
        get_chat_member(telegram, Params({"chat_id": chat.id, "user_id": admin}, {})) for admin in sorted(chat.admins)
    ]


def set_webhook(telegram: LocalTelegram, params: Params) -> bool:
    telegram.webhook = params.string("url")
    if params.flag("drop_pending_updates"):
        telegram.drop_updates()
    return True


def delete_webhook(telegram: LocalTelegram, params: Params) -> bool:
    return set_webhook(telegram, Params({**params, "url": ""}, {}))


def get_webhook_info(telegram: LocalTelegram, params: Params) -> Json:
    pending = telegram.pending_updates
    return {"url": telegram.webhook, "has_custom_certificate": False, "pending_update_count": pending}


METHODS: dict[str, Handler] = {
    handler.__name__.replace("_", ""): handler
    for handler in (
        get_me, get_updates, set_webhook, delete_webhook, get_webhook_info,
        send_message, send_photo, send_document, send_chat_action,
        edit_message_text, edit_message_caption, edit_message_reply_markup, delete_message,
        pin_chat_message, unpin_chat_message, answer_callback_query, get_file,
        set_my_commands, delete_my_commands, get_my_commands,
        get_chat, get_chat_member, get_chat_administrators,
    )
}  # fmt: skip
"""By name in lower case: the real server does not mind capitals."""
