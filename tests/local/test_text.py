import pytest

from bot.local.text import find_entities, is_valid, start_payload, to_html, with_found


def test_find_entities_after_an_emoji_counts_utf16_units() -> None:
    """Telegram counts UTF-16 code units: an emoji before a command moves it by two."""
    assert find_entities("🚀 /buy@desk_bot BTC/USDT for @ann") == [
        {"type": "bot_command", "offset": 3, "length": 13},
        {"type": "mention", "offset": 30, "length": 4},
    ]


@pytest.mark.parametrize("text", ["BTC/USDT", "a/b", "/", "//buy", "1/2", "</b>", "mail@example"])
def test_find_entities_pairs_and_fractions_are_no_commands(text: str) -> None:
    """A slash inside a word, as in every pair of coins, begins no command."""
    assert find_entities(text) == []


def test_with_found_inside_code_marks_nothing() -> None:
    """A command shown as code stays code, as Telegram does it."""
    code = {"type": "code", "offset": 4, "length": 5}
    assert with_found("try /help", [code]) == [code]


@pytest.mark.parametrize(
    ("entity", "expected"),
    [
        ({"type": "bold", "offset": 0, "length": 4}, True),
        ({"type": "bold", "offset": 0, "length": 5}, False),
        ({"type": "bold", "offset": -1, "length": 2}, False),
        ({"type": "bold", "offset": 0, "length": 0}, False),
        ({"type": "bold", "offset": 0, "length": 1}, False),
        ({"type": "bold", "offset": "0", "length": 2}, False),
        ({"type": "blink", "offset": 0, "length": 2}, False),
        ({"type": "text_link", "offset": 0, "length": 2}, False),
        ({"type": "text_link", "offset": 0, "length": 2, "url": "https://example.com"}, True),
        ("bold", False),
    ],
)
def test_is_valid_bounds_and_type_decide(entity: object, expected: bool) -> None:
    """An entity must be of a known type and lie between whole characters of the text, here `🚀ab`."""
    assert is_valid("🚀ab", entity) is expected


@pytest.mark.parametrize(
    ("text", "entities", "html"),
    [
        ("<script>alert('&')</script>", [], "&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;"),
        ("🚀 up", [{"type": "bold", "offset": 3, "length": 2}], "🚀 <b>up</b>"),
        (
            "abcd",
            [{"type": "bold", "offset": 0, "length": 4}, {"type": "italic", "offset": 1, "length": 2}],
            "<b>a<i>bc</i>d</b>",
        ),
        (
            "abcd",
            [{"type": "bold", "offset": 0, "length": 3}, {"type": "italic", "offset": 2, "length": 2}],
            "<b>ab<i>c</i></b><i>d</i>",
        ),
        ("a\n1 <2\nb", [{"type": "pre", "offset": 2, "length": 4}], "a<pre>1 &lt;2</pre>b"),
        (
            "usc",
            [
                {"type": "underline", "offset": 0, "length": 1},
                {"type": "strikethrough", "offset": 1, "length": 1},
                {"type": "code", "offset": 2, "length": 1},
            ],
            "<u>u</u><s>s</s><code>c</code>",
        ),
    ],
)
def test_to_html_text_is_escaped_and_entities_become_tags(text: str, entities: list[dict], html: str) -> None:
    """What somebody typed never becomes markup; what an entity says always does, nested or overlapping."""
    assert to_html(text, entities) == html


def test_to_html_link_with_quotes_stays_inside_its_attribute() -> None:
    """An address cannot break out of the attribute that holds it."""
    entity = {"type": "text_link", "offset": 0, "length": 1, "url": 'https://example.com/"onclick="x'}
    assert to_html("a", [entity]) == (
        '<a class="link" href="https://example.com/&#34;onclick=&#34;x" target="_blank" rel="noopener noreferrer">a</a>'
    )


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "JAVASCRIPT:alert(1)"])
def test_to_html_link_to_a_script_is_no_link(url: str) -> None:
    """Only web addresses can be followed."""
    assert to_html("a", [{"type": "text_link", "offset": 0, "length": 1, "url": url}]) == '<span class="link">a</span>'


@pytest.mark.parametrize(
    ("url", "payload"),
    [
        ("https://t.me/desk_bot?start=sig_8Kf2", "sig_8Kf2"),
        ("https://t.me/Desk_Bot", ""),
        ("tg://resolve?domain=desk_bot&start=a-b", "a-b"),
        ("https://t.me/other_bot?start=x", None),
        ("https://example.com/desk_bot?start=x", None),
    ],
)
def test_start_payload_only_links_to_this_bot_have_one(url: str, payload: str | None) -> None:
    """A deep link to the bot starts it in the chat; any other address does not."""
    assert start_payload(url, "desk_bot") == payload
