"""The same stories as by polling, with Telegram sending to the bot: each is run here once more by webhook."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.chat.webhook import CONNECTIONS, UPDATES
from tests.e2e.conftest import ANN, RECEIVING, neighbours
from tests.e2e.postman import SECRET
from tests.e2e.test_late import (  # noqa: F401  # collected here as well, in webhook mode
    test_passphrase_after_a_restart_in_the_key_wizard_is_deleted,
    test_start_after_an_hour_offers_the_order_once_and_confirm_places_it,
)
from tests.e2e.test_order import (  # noqa: F401
    test_buy_without_size_takes_a_typed_answer,
    test_confirm_hundred_presses_place_one_order,
    test_kill_after_sending_leaves_one_order_and_a_true_card,
    test_order_placed_but_unanswered_is_found,
)
from tests.e2e.test_refusals import (  # noqa: F401
    test_edited_and_forwarded_commands_are_ignored,
    test_group_member_cannot_press_anothers_button_or_trade,
    test_no_key_tells_what_to_do,
    test_stranger_gets_one_polite_line,
)
from tests.e2e.test_repeats import (  # noqa: F401
    test_card_pressed_a_thousand_times_through_the_chat_places_one_order,
    test_kill_between_commit_and_handling_replays_once,
)

pytestmark = pytest.mark.network


@pytest.fixture(autouse=True)
def by_webhook() -> Iterator[None]:
    """Every bot of this file gets its messages by webhook."""
    token = RECEIVING.set("webhook")
    yield
    RECEIVING.reset(token)


async def test_bot_by_webhook_sets_it_at_the_start_and_gives_it_back_at_the_end(tmp_path: Path) -> None:
    """What is written while the bot is away waits at Telegram and is handled by the next start."""
    async with neighbours(tmp_path) as desk:
        await desk.start()
        desk.say("/id")
        await desk.see(str(ANN))
        given = [call for name, call in desk.telegram.calls if name == "setWebhook"]
        assert given == [
            {
                "url": desk.settings.telegram.webhook_url,
                "secret_token": SECRET,
                "allowed_updates": list(UPDATES),
                "max_connections": CONNECTIONS,
                "drop_pending_updates": False,
            }
        ]
        await desk.end()
        assert (desk.telegram.webhook, "getUpdates" in {name for name, _ in desk.telegram.calls}) == ("", False)
        desk.say("/help")
        assert desk.telegram.pending_updates
        await desk.start()
        await desk.see("/balance")
        await desk.end()
