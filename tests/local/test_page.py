from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from sse_starlette import ServerSentEvent

from bot.local import page
from bot.local.server import build_app
from bot.local.telegram import LocalTelegram

ORIGIN = "http://127.0.0.1:8000"
PAGE = "/s3cret/"


@pytest.fixture
async def browser(telegram: LocalTelegram) -> AsyncIterator[httpx.AsyncClient]:
    app = build_app(telegram, "1:token", port=8000, secret="s3cret")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN) as client:
        yield client


def lines(events: list[ServerSentEvent]) -> list[tuple[str | None, str]]:
    return [(event.event, str(event.data)) for event in events]


@pytest.mark.parametrize("path", [PAGE, "/bot1:token/getMe", "/s3cret/static/page.css"])
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:9000", "127.0.0.1.evil.example:8000", ""])
async def test_any_path_under_another_host_is_refused(browser: httpx.AsyncClient, path: str, host: str) -> None:
    """A name on the internet that points at this machine opens nothing."""
    assert (await browser.get(path, headers={"Host": host})).status_code == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:9000", "null", None])
async def test_say_from_another_origin_says_nothing(
    browser: httpx.AsyncClient, telegram: LocalTelegram, origin: str | None
) -> None:
    """Only the page itself may post: not another site, not another port, not a file, not something without a name."""
    headers = {} if origin is None else {"Origin": origin}
    reply = await browser.post(PAGE + "say", data={"as": "11", "chat": "11", "text": "/panic"}, headers=headers)
    assert (reply.status_code, telegram.messages(11)) == (403, [])


async def test_bot_api_from_another_origin_is_refused(browser: httpx.AsyncClient, telegram: LocalTelegram) -> None:
    """Another site that guessed the token still cannot speak as the bot."""
    reply = await browser.post("/bot1:token/sendMessage", data={"chat_id": 11, "text": "a"}, headers={"Origin": "null"})
    assert (reply.status_code, telegram.messages(11)) == (403, [])


@pytest.mark.parametrize("path", ["/", "/wrong/", "/static/page.css"])
async def test_page_without_its_secret_is_not_found(browser: httpx.AsyncClient, path: str) -> None:
    """Everything of the page lies below the secret."""
    assert (await browser.get(path)).status_code == 404


async def test_page_allows_nothing_but_its_own_files(browser: httpx.AsyncClient) -> None:
    """The policy names only the page's own origin, and the page has no inline script or style that it would block."""
    reply = await browser.get(PAGE)
    policy = dict(rule.split(" ", 1) for rule in reply.headers["content-security-policy"].split("; "))
    assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'none'", "'self'", "'self'")
    assert (" style=" in reply.text, "<style" in reply.text, " onclick=" in reply.text) == (False, False, False)
    assert reply.text.count("<script") == 1


async def test_page_names_and_texts_are_escaped(browser: httpx.AsyncClient, telegram: LocalTelegram) -> None:
    """Whatever people are called or write, the page shows it as text."""
    evil = "<script>alert(1)</script>"
    telegram.add_person(13, evil, "eve", note=evil)
    telegram.add_group(-1002, evil, [11, 13])
    message = telegram.say(13, -1002, evil)
    telegram.say(11, -1002, "/price", reply_to=message.id)
    telegram.post(telegram.chats[-1002], telegram.bot, text="a", keyboard=[[{"text": evil, "callback_data": evil}]])
    telegram.post(telegram.chats[-1002], telegram.bot, file=telegram.add_file("document", evil, b"x"))
    telegram.set_commands('{"type": "default"}', "", [{"command": "a", "description": evil}])
    reply = await browser.get(PAGE)
    assert (reply.text.count("<script"), reply.text.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 8) == (1, True)


async def test_page_shows_a_person_their_own_chat_and_groups_only(
    browser: httpx.AsyncClient, telegram: LocalTelegram
) -> None:
    """Bob does not see Ann's private chat, and both see the group."""
    telegram.say(11, 11, "ann alone")
    telegram.say(11, -1001, "for everybody")
    ann, bob = (await browser.get(PAGE)).text, (await browser.get(PAGE, params={"as": 12})).text
    assert ("ann alone" in ann, "ann alone" in bob) == (True, False)
    assert ("for everybody" in ann, "for everybody" in bob) == (True, True)


async def test_say_through_the_page_reaches_the_bot(browser: httpx.AsyncClient, telegram: LocalTelegram) -> None:
    """What is typed becomes a message of that person, a reply if it is one."""
    first = telegram.post(telegram.chats[11], telegram.bot, text="how much?")
    form = {"as": "11", "chat": "11", "text": " 0.5\n", "reply_to": str(first.id)}
    reply = await browser.post(PAGE + "say", data=form, headers={"Origin": ORIGIN})
    message = telegram.last(11)
    assert (reply.status_code, message.text, message.reply_to, message.sender.name) == (204, "0.5", first, "Ann")


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"as": "11", "chat": "11", "text": " "}, 400),
        ({"as": "11", "chat": "11", "text": "x" * 4097}, 400),
        ({"as": "11", "chat": "12", "text": "a"}, 404),
        ({"as": "99", "chat": "11", "text": "a"}, 404),
        ({"as": "11", "chat": "x", "text": "a"}, 404),
    ],
)
async def test_say_of_nonsense_is_refused(browser: httpx.AsyncClient, form: dict, status: int) -> None:
    """Empty or endless texts, strange chats and unknown people get an answer that says so."""
    reply = await browser.post(PAGE + "say", data=form, headers={"Origin": ORIGIN})
    assert (reply.status_code, reply.text != "") == (status, True)


async def test_press_through_the_page_reaches_the_bot(browser: httpx.AsyncClient, telegram: LocalTelegram) -> None:
    """A pressed button arrives with its data; one that never was there does not."""
    message = telegram.post(
        telegram.chats[11], telegram.bot, text="?", keyboard=[[{"text": "Yes", "callback_data": "y"}]]
    )
    form = {"as": "11", "chat": "11", "message": str(message.id), "data": "y"}
    good = await browser.post(PAGE + "press", data=form, headers={"Origin": ORIGIN})
    bad = await browser.post(PAGE + "press", data={**form, "data": "other"}, headers={"Origin": ORIGIN})
    updates = await telegram.take_updates(0, 100, 0, None)
    assert (good.status_code, bad.status_code) == (204, 404)
    assert [update["callback_query"]["data"] for update in updates] == ["y"]


async def test_files_documents_download_and_never_open_in_the_page(
    browser: httpx.AsyncClient, telegram: LocalTelegram
) -> None:
    """A document that is really a web page is saved, not shown."""
    file = telegram.add_file("document", "bill é.html", b"<script>alert(1)</script>")
    headers = (await browser.get(f"{PAGE}files/{file.id}")).headers
    assert (headers["content-type"], headers["content-disposition"], headers["x-content-type-options"]) == (
        "application/octet-stream",
        "attachment; filename*=UTF-8''bill%20%C3%A9.html",
        "nosniff",
    )


def test_news_after_a_revision_has_each_change_once_in_order(telegram: LocalTelegram) -> None:
    """A page that was away gets what it missed: new and changed messages as they are now, and the deleted ones."""
    ann = telegram.people[11]
    kept = telegram.post(telegram.chats[11], telegram.bot, text="preview")
    gone = telegram.say(11, 11, "my key")
    since = telegram.revision
    telegram.change(kept, text="filled <b>")
    telegram.change(gone, is_deleted=True)
    telegram.show_typing(telegram.chats[-1001])
    found = lines(page.news(telegram, ann, since))
    assert [kind for kind, _ in found] == ["post", "gone", "typing"]
    assert ("filled &lt;b&gt;" in found[0][1], "edited" in found[0][1]) == (True, True)
    assert ([data for _, data in found[1:]], page.news(telegram, ann, telegram.revision)) == (["m11_2", "-1001"], [])


def test_news_of_others_tells_only_that_there_is_something(telegram: LocalTelegram) -> None:
    """Ann learns that Bob has a message, not what it says; a toast is for the one who pressed."""
    message = telegram.post(
        telegram.chats[12], telegram.bot, text="for bob", keyboard=[[{"text": "Ok", "callback_data": "k"}]]
    )
    telegram.answer(telegram.press(12, 12, message.id, "Ok"), "noted", is_alert=False)
    ann, bob = (lines(page.news(telegram, telegram.people[person], 0)) for person in (11, 12))
    assert (ann, bob[1:]) == ([("unread", "12")], [("toast", "noted")])


def test_package_has_no_script_or_style_from_elsewhere() -> None:
    """The page is whole without a network: nothing in it names another host."""
    sources = [*page.STATIC.iterdir(), *(Path(page.__file__).parent / "templates").iterdir()]
    hosts = {
        line.strip()
        for source in sources
        for line in source.read_text().splitlines()
        if "//" in line and ("src=" in line or "href=" in line or "url(" in line or "import" in line)
    }
    assert hosts == set()
