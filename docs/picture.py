"""Make docs/demo.png from the real chat page: `python docs/picture.py`. Needs Debian's chromium and an emoji font."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from playwright.async_api import Page, async_playwright

from bot.cli.demo import running

_CHROMIUM = "/usr/bin/chromium"
_ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync", "--no-first-run")


async def story(page: Page) -> None:
    """Play the story of the picture: one order filled, one waiting for Confirm."""

    async def type_(text: str, expected: str) -> None:
        box = page.get_by_role("textbox").first
        await box.fill(text)
        await box.press("Enter")
        await page.get_by_text(expected).last.wait_for()

    await type_("/buy BTC/USDT $250", "Then free")
    await page.get_by_role("button", name="Confirm").last.click()
    await page.get_by_text("Order id").last.wait_for()
    await page.get_by_text("Sending").last.wait_for(state="hidden")
    await type_("/buy eth/usdt 0.5 @ -2%", "Then free")


async def main() -> None:
    """Take the picture."""
    with tempfile.TemporaryDirectory() as directory:
        async with running(Path(directory)) as demo, async_playwright() as play:
            browser = await play.chromium.launch(executable_path=_CHROMIUM, args=_ARGUMENTS)
            page = await browser.new_page(viewport={"width": 1040, "height": 830}, color_scheme="light")
            await page.goto(demo.page_url)
            await story(page)
            await page.screenshot(path=Path(__file__).with_name("demo.png"))
            await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
