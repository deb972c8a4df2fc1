"""The page in a real browser, with a tiny bot behind it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect
from telegram import Bot, BotCommand, ForceReply, Update
from telegram import InlineKeyboardButton as Button
from telegram import InlineKeyboardMarkup as Keyboard

from bot.local.server import LocalServer
from bot.local.telegram import LocalTelegram
from tests.local.conftest import TOKEN

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
STICKING_OUT = """() => [...document.querySelectorAll("body, .log, .key, .bubble, .tab, nav, form")]
    .filter((each) => each.getBoundingClientRect().right > innerWidth
        || each.matches("body, .log, .key, nav, form") && each.scrollWidth > each.clientWidth)
    .map((each) => each.className || each.tagName)"""
pytestmark = [
    pytest.mark.network,
    pytest.mark.asyncio(loop_scope="module"),  # starting the browser costs more than all that a test does in it
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"the browser tests need {CHROMIUM}"),
]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page, in a profile of its own, at which no script fails and nothing is missing or blocked."""
    page = await browser.new_page(viewport={"width": 1280, "height": 800})
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    await page.close()
    assert problems == []


@pytest_asyncio.fixture(loop_scope="module")
async def server(telegram: LocalTelegram) -> AsyncIterator[LocalServer]:
    """The same as elsewhere, in the browser's loop."""
    async with LocalServer(telegram, TOKEN) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def bot(server: LocalServer) -> AsyncIterator[Bot]:
    async with Bot(TOKEN, base_url=server.base_url, base_file_url=server.base_file_url) as bot:
        yield bot


@pytest_asyncio.fixture(loop_scope="module")
async def desk(bot: Bot) -> AsyncIterator[Bot]:
    """A bot that asks before it buys and tells the group afterwards."""

    async def serve() -> None:
        offset = 0
        while True:
            for update in await bot.get_updates(offset=offset, timeout=60):
                offset = update.update_id + 1
                await answer(update)

    async def answer(update: Update) -> None:
        if query := update.callback_query:
            await query.answer("Sent to the exchange")
            await query.edit_message_text("FILLED 0.01 BTC")
            await bot.send_message(-1001, "A member bought BTC/USDT")
        elif update.message.text.startswith("/buy"):
            keyboard = Keyboard(
                [[Button("Confirm", callback_data="c1", style="success"), Button("Cancel", callback_data="x1")]]
            )
            await bot.send_message(update.message.chat_id, "BUY 0.01 BTC <b>?</b>", reply_markup=keyboard)

    task = asyncio.create_task(serve())
    yield bot
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_page_whole_story_from_typing_to_reload(page: Page, desk: Bot, server: LocalServer) -> None:
    """Type, press, see the message change in place, the toast and the group's news; a reload shows the same."""
    await page.goto(server.page_url)
    private, group = (
        page.get_by_role("log", name="Messages with tradewire"),
        page.get_by_role("log", name="Messages with Traders"),
    )
    await page.get_by_role("textbox", name="Message to tradewire").fill("/buy BTC/USDT 0.01")
    await page.keyboard.press("Enter")
    card = private.locator(".message", has_text="BUY 0.01 BTC <b>?</b>")
    await card.get_by_role("button", name="Confirm").click()
    await expect(page.get_by_role("status")).to_have_text("Sent to the exchange")
    await expect(private.locator(".message .text")).to_have_text(["/buy BTC/USDT 0.01", "FILLED 0.01 BTC"])
    await expect(private.locator(".key")).to_have_count(0)
    await expect(group.locator(".message .text")).to_have_text(["A member bought BTC/USDT"])
    await page.reload()
    await expect(private.locator(".message .text")).to_have_text(["/buy BTC/USDT 0.01", "FILLED 0.01 BTC"])
    await expect(page.get_by_role("textbox", name="Message to tradewire")).to_have_value("")


async def test_page_first_click_on_a_suggestion_says_it(
    page: Page, server: LocalServer, telegram: LocalTelegram
) -> None:
    """A newcomer needs no keyboard: a suggestion is sent as it stands."""
    await page.goto(server.page_url)
    await page.get_by_role("button", name="/buy BTC/USDT 0.01").click()
    await telegram.wait(lambda t: [message.text for message in t.messages(11)] == ["/buy BTC/USDT 0.01"])


async def test_page_switched_to_bob_acts_as_bob(
    page: Page, bot: Bot, server: LocalServer, telegram: LocalTelegram
) -> None:
    """A message for Bob marks his tab; behind it is his chat, and what is typed there is his."""
    await page.goto(server.page_url)
    tab = page.get_by_role("link", name="Bob")
    await bot.send_message(12, "Ann asks for a higher limit")
    await expect(tab).to_have_class("tab unread")
    await tab.click()
    await page.wait_for_load_state("load")  # the script that sends is there only then
    await expect(page.get_by_role("log", name="Messages with tradewire")).to_contain_text("Ann asks for a higher limit")
    await page.get_by_role("textbox", name="Message to Traders").fill("I have seen it")
    await page.keyboard.press("Enter")
    await telegram.wait(lambda t: t.last(-1001).sender.name == "Bob")


async def test_page_answer_with_an_alert_must_be_closed(
    page: Page, bot: Bot, server: LocalServer, telegram: LocalTelegram
) -> None:
    """An alert stands in the way until it is read; the pressed button is free again after it."""
    await bot.send_message(11, "sure?", reply_markup=Keyboard([[Button("Yes", callback_data="y")]]))
    await page.goto(server.page_url)
    await page.get_by_role("button", name="Yes").click()
    await telegram.wait(lambda t: t.queries)
    await expect(page.get_by_role("button", name="Yes")).to_have_attribute("aria-busy", "true")
    await bot.answer_callback_query(next(iter(telegram.queries)), "Too late: it has expired.", show_alert=True)
    await expect(page.get_by_role("dialog")).to_contain_text("Too late: it has expired.")
    await page.get_by_role("button", name="OK").click()
    await expect(page.get_by_role("dialog")).to_be_hidden()
    assert await page.get_by_role("button", name="Yes").get_attribute("aria-busy") is None


async def test_page_silent_answer_frees_the_button(
    page: Page, bot: Bot, server: LocalServer, telegram: LocalTelegram
) -> None:
    """An answer without words shows nothing and only ends the waiting."""
    await bot.send_message(11, "sure?", reply_markup=Keyboard([[Button("Yes", callback_data="y")]]))
    await page.goto(server.page_url)
    button = page.get_by_role("button", name="Yes")
    await button.click()
    await telegram.wait(lambda t: t.queries)
    await bot.answer_callback_query(next(iter(telegram.queries)))
    await expect(button).not_to_have_attribute("aria-busy", "true")
    await expect(page.locator("#toasts p")).to_have_count(0)


async def test_page_deep_link_in_the_group_starts_the_bot_in_private(
    page: Page, bot: Bot, server: LocalServer, telegram: LocalTelegram
) -> None:
    """A button that leads to the bot says /start with its payload in the private chat."""
    link = "https://t.me/tradewire_bot?start=sig_8Kf2"
    await page.goto(server.page_url)
    await bot.send_message(-1001, "signal", reply_markup=Keyboard([[Button("Trade this", url=link)]]))
    await page.get_by_role("button", name="Trade this").click()
    await telegram.wait(lambda t: [message.text for message in t.messages(11)] == ["/start sig_8Kf2"])


async def test_page_forced_reply_answers_that_message(
    page: Page, bot: Bot, server: LocalServer, telegram: LocalTelegram
) -> None:
    """When the bot asks for a value, what is typed next is a reply to its question."""
    await page.goto(server.page_url)
    await bot.send_message(11, "At what price?", reply_markup=ForceReply())
    await expect(page.get_by_text("Reply to tradewire: At what price?")).to_be_visible()
    await page.keyboard.type("60k")
    await page.keyboard.press("Enter")
    reply = await telegram.wait(lambda t: t.last(11).reply_to)
    assert reply.text == "At what price?"


async def test_page_menu_offers_the_bots_commands(
    page: Page, bot: Bot, server: LocalServer, telegram: LocalTelegram
) -> None:
    """Commands set while the page is open appear in its menu, and a click says one."""
    await page.goto(server.page_url)
    await bot.set_my_commands([BotCommand("balance", "What you hold")])
    await page.locator("#menu11 summary").click()
    await page.locator("#menu11").get_by_role("button", name="What you hold").click()
    await telegram.wait(lambda t: t.last(11).text == "/balance")


async def test_page_at_any_width_nothing_sticks_out(page: Page, bot: Bot, server: LocalServer) -> None:
    """Long words, wide tables and many buttons stay inside the screen, in both panes, from small phones to desks."""
    keyboard = Keyboard([[Button(f"A rather long label {n}", callback_data=str(n)) for n in range(5)]])
    for chat_id in (11, -1001):
        await bot.send_message(chat_id, "x" * 300 + "\n" + "0.00000001 " * 40, reply_markup=keyboard)
    found = {}
    for width in (320, 360, 768, 1280):
        await page.set_viewport_size({"width": width, "height": 740})
        for pane in ("#pane11", "#pane-1001"):
            await page.goto(server.page_url + pane)
            await expect(page.locator(f"{pane} .message")).to_be_visible()
            found[width, pane] = await page.evaluate(STICKING_OUT)
    assert {key: value for key, value in found.items() if value} == {}


async def test_page_on_a_phone_shows_one_chat_and_marks_the_other(page: Page, bot: Bot, server: LocalServer) -> None:
    """A phone shows one pane; news in the hidden one mark its tab until it is opened."""
    await page.set_viewport_size({"width": 360, "height": 740})
    await page.goto(server.page_url)
    tab, group = page.get_by_role("link", name="Traders"), page.locator("#pane-1001")
    await expect(group).to_be_hidden()
    await bot.send_message(-1001, "A member bought BTC/USDT")
    await expect(tab).to_have_class("tab group unread")
    await tab.click()
    await expect(group).to_be_visible()
    await expect(page.locator("#pane11")).to_be_hidden()
    await expect(tab).to_have_class("tab group front")
