"""Webhook mode is set up whole or not at all, and its secret shows nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from bot.accounts.vault import create_master_key
from bot.cli import main
from bot.cli.instance import open_instance
from bot.config import Settings, Telegram, Web, load
from bot.contract.errors import ConfigError
from bot.redact import redactor

URL = "https://bot.example.org/telegram"
SECRET = "canary-of-the-webhook-in-plain-words"
TOKEN = "123456789:AAExampleTokenThatMustNotShow-0123456"
NEEDS = '[telegram]: mode = "webhook" needs webhook_url and webhook_secret'
SHORT = "[telegram] webhook_secret: take 32 to 256 letters, digits, _ and -; openssl rand -hex 32 makes one"
ADDRESS = "[telegram] webhook_url: write the public address, such as https://bot.example.org/telegram"


def written(directory: Path, **telegram: str) -> Path:
    """A configuration with these keys in [telegram]."""
    file = directory / "config.toml"
    lines = [f'{key} = "{value}"' for key, value in {"token": TOKEN, **telegram}.items()]
    file.write_text("\n".join(["[telegram]", *lines, "[access]", "owner = 1"]))
    return file


def test_webhook_mode_with_address_and_secret_is_accepted(tmp_path: Path) -> None:
    """Both are kept as they are, and the listener stays on loopback."""
    settings = load(written(tmp_path, mode="webhook", webhook_url=URL, webhook_secret=SECRET), {})
    telegram = settings.telegram
    assert (telegram.mode, telegram.webhook_url, telegram.webhook_path) == ("webhook", URL, "/telegram")
    assert telegram.webhook_secret.get_secret_value() == SECRET
    assert settings.web == Web(host="127.0.0.1", port=8480)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({}, NEEDS),
        ({"webhook_url": URL}, NEEDS),
        ({"webhook_url": URL, "webhook_secret": ""}, NEEDS),
        ({"webhook_secret": SECRET}, NEEDS),
        ({"webhook_url": URL, "webhook_secret": "x" * 31}, SHORT),
        ({"webhook_url": URL, "webhook_secret": "x" * 257}, SHORT),
        ({"webhook_url": URL, "webhook_secret": "x" * 31 + "!"}, SHORT),
        ({"webhook_url": "http://bot.example.org/telegram", "webhook_secret": SECRET}, ADDRESS),
        ({"webhook_url": "http://127.0.0.1.example.org/t", "webhook_secret": SECRET}, ADDRESS),
        ({"webhook_url": "https://bot.example.org", "webhook_secret": SECRET}, ADDRESS),
        ({"webhook_url": URL + "/{path}", "webhook_secret": SECRET}, ADDRESS),
        ({"webhook_url": URL + "?secret=1", "webhook_secret": SECRET}, ADDRESS),
    ],
)
def test_run_in_webhook_mode_half_set_up_is_refused_with_78(
    tmp_path: Path, keys: dict[str, str], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a whole address and a long secret the bot does not start; the error names the key, not the secret."""
    monkeypatch.setattr("bot.cli.run.keep_private", lambda: None)  # it would hold for the tests' own process
    file = written(tmp_path, mode="webhook", **keys)
    result = CliRunner().invoke(main, ["run", "--config", str(file)])
    assert (result.exit_code, problem in result.output) == (78, True), result.output
    assert not any(secret in result.output for secret in (SECRET, "x" * 31, TOKEN))


def test_webhook_secret_from_a_file_is_read(tmp_path: Path) -> None:
    """It can come as a credential, like the token."""
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    file = written(tmp_path, mode="webhook", webhook_url=URL)
    settings = load(file, {"TRADEWIRE_TELEGRAM__WEBHOOK_SECRET_FILE": str(tmp_path / "secret")})
    assert settings.telegram.webhook_secret.get_secret_value() == SECRET
    assert SECRET not in f"{settings!r} {settings.telegram}"


def test_settings_without_webhook_keys_poll() -> None:
    """Nothing is open to the world unless somebody asks for it."""
    assert (Settings().telegram.mode, Telegram().webhook_path) == ("polling", "")


@pytest.mark.parametrize("host", ["localhost", "bot.example.org"])
def test_web_host_that_is_no_address_is_refused(tmp_path: Path, host: str) -> None:
    """A name could mean another machine tomorrow."""
    with pytest.raises(ConfigError, match="IP address"):
        load(written(tmp_path), {"TRADEWIRE_WEB__HOST": host})


def test_webhook_secret_is_hidden_once_the_instance_is_open(tmp_path: Path) -> None:
    """Like the token, it is in no log line from then on."""
    create_master_key(tmp_path / "master.key")
    telegram = {"mode": "webhook", "webhook_url": URL, "webhook_secret": SECRET}
    directory, key_file = tmp_path / "data", tmp_path / "master.key"
    settings = {"telegram": telegram, "storage": {"directory": directory}, "vault": {"key_file": key_file}}
    assert SECRET in redactor.redact(f"sent {SECRET} there")
    open_instance(Settings.model_validate(settings)).store.close()
    assert SECRET not in redactor.redact(f"sent {SECRET} there")
