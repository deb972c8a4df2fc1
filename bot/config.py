"""The configuration: defaults, then a TOML file, then the environment, checked all at once.

`TRADEWIRE_TELEGRAM__TOKEN` sets `[telegram] token`; `TRADEWIRE_TELEGRAM__TOKEN_FILE` reads it from a file.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from bot.contract.errors import ConfigError

PREFIX = "TRADEWIRE_"
CONFIG_DIRECTORY = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "tradewire"
DATA_DIRECTORY = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "tradewire"
DEFAULT_PATH = CONFIG_DIRECTORY / "config.toml"
LEAST_SECRET = 32
"""Characters of a webhook's secret."""
_NOT_SETTINGS = {"LOAD_PLUGINS", "CONFIG"}


def _token(value: SecretStr) -> SecretStr:
    if value.get_secret_value() and not re.fullmatch(r"\d+:\S+", value.get_secret_value()):
        raise ValueError("a token has the form 123456789:text, as BotFather gives it")
    return value


def _origin(value: str | None) -> str | None:
    if value and not re.fullmatch(r"(https?|wss?)://[^/?#\s]+/?", value):
        raise ValueError("write scheme, host and port only, such as http://127.0.0.1:8080")
    return value.rstrip("/") if value else None


def _path(value: object) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError('write a path in quotes, such as "~/tradewire"')
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise ValueError("there is no such home directory") from None


def _address(value: str | None) -> str | None:
    try:
        ipaddress.ip_address(value or "::")
    except ValueError:
        raise ValueError("write an IP address of this machine, such as 203.0.113.7") from None
    return value


def _listening(value: str) -> str:
    return _address(value) or ""


def _proxy(value: str | None) -> str | None:
    if value and not re.match(r"(https?|socks5h?)://[^/\s]+", value):
        raise ValueError("write an address such as http://127.0.0.1:3128")
    return value


def _url(value: str) -> str:
    if not re.match(r"https?://[^/\s]+/", value):
        raise ValueError("write an address such as https://api.telegram.org/bot")
    return value


def _webhook_url(value: str) -> str:
    """Telegram itself calls HTTPS only; a Bot API server on this machine may call plain HTTP there."""
    if value and not re.fullmatch(r"(https://[^/?#\s@]+|http://(127\.0\.0\.1|localhost)(:\d+)?)/[^?#\s{}]*", value):
        raise ValueError("write the public address, such as https://bot.example.org/telegram")
    return value


def _webhook_secret(value: SecretStr) -> SecretStr:
    if value.get_secret_value() and not re.fullmatch(rf"[A-Za-z0-9_-]{{{LEAST_SECRET},256}}", value.get_secret_value()):
        raise ValueError(f"take {LEAST_SECRET} to 256 letters, digits, _ and -; openssl rand -hex 32 makes one")
    return value


def _heartbeat(value: SecretStr) -> SecretStr:
    if value.get_secret_value() and not re.match(
        r"https://[^/\s]+/|http://(127\.0\.0\.1|localhost)(:\d+)?/", value.get_secret_value()
    ):
        raise ValueError("write the address that your monitor gave you; it begins with https://")
    return value


def _money(value: object) -> object:
    """Take a number as it is written in the file: a float is read by its shortest digits."""
    try:
        number = None if value is None else Decimal(str(value))
    except ArithmeticError:
        raise ValueError("write a number, such as 500") from None
    if isinstance(value, bool) or (number is not None and not (number.is_finite() and number > 0)):
        raise ValueError("write a number above zero, such as 500")
    return number


def _networks(value: Sequence[str]) -> Sequence[str]:
    for each in value:
        try:
            ipaddress.ip_network(each)
        except ValueError:
            raise ValueError("write addresses or networks, such as 127.0.0.1 or 52.89.214.0/24") from None
    return value


def _names(value: object) -> object:
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


Origin = Annotated[str | None, AfterValidator(_origin)]
Url = Annotated[str, AfterValidator(_url)]
Expanded = Annotated[Path, BeforeValidator(_path)]
Address = Annotated[str | None, AfterValidator(_address)]
Proxy = Annotated[str | None, AfterValidator(_proxy)]
Money = Annotated[Decimal | None, BeforeValidator(_money)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Telegram(_Section):
    """How the bot reaches Telegram."""

    token: Annotated[SecretStr, AfterValidator(_token)] = SecretStr("")
    base_url: Url = "https://api.telegram.org/bot"
    base_file_url: Url = "https://api.telegram.org/file/bot"
    proxy: Proxy = None
    mode: Literal["polling", "webhook"] = "polling"
    webhook_url: Annotated[str, AfterValidator(_webhook_url)] = ""
    webhook_secret: Annotated[SecretStr, AfterValidator(_webhook_secret)] = SecretStr("")

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.mode == "webhook" and not (self.webhook_url and self.webhook_secret.get_secret_value()):
            raise ValueError('mode = "webhook" needs webhook_url and webhook_secret')
        return self

    @property
    def webhook_path(self) -> str:
        """The path of `webhook_url`: a proxy hands it on as it is."""
        return urlsplit(self.webhook_url).path


class Web(_Section):
    """Where the bot listens, if something is switched on that needs it."""

    host: Annotated[str, AfterValidator(_listening)] = "127.0.0.1"
    port: int = Field(default=8480, ge=0, le=65_535)


class HookSettings(_Section):
    """Alerts that come in by HTTP, such as those of TradingView. A proxy in front is named here, or not believed."""

    enabled: bool = False
    public_url: Origin = None
    proxies: Annotated[Sequence[str], BeforeValidator(_names), AfterValidator(_networks)] = Field(default_factory=list)
    addresses: Annotated[Sequence[str], BeforeValidator(_names), AfterValidator(_networks)] = Field(
        default_factory=list
    )
    certificate_header: str | None = Field(default=None, pattern=r"^[A-Za-z][A-Za-z0-9-]*$")
    certificate: str = "CN=TradingView Webhooks"
    burst: int = Field(default=10, ge=1)

    @model_validator(mode="after")
    def _is_proxied(self) -> Self:
        if self.certificate_header is not None and not self.proxies:
            raise ValueError("certificate_header needs proxies: name the proxy that checks certificates")
        return self


class Access(_Section):
    """Who may use the bot."""

    owner: int | None = Field(default=None, gt=0)


class Storage(_Section):
    """Where the database is."""

    directory: Expanded = DATA_DIRECTORY


class VaultSettings(_Section):
    """Where the master key is."""

    key_file: Expanded = CONFIG_DIRECTORY / "master.key"


class ExchangeSettings(_Section):
    """One exchange: `[exchanges.<name>]`."""

    enabled: bool = True
    base_url: Origin = None
    stream_url: Origin = None
    local_address: Address = None
    proxy: Proxy = None


class Plugins(_Section):
    """Which plugins the bot does not start without, and what they are told: `[plugins.<name>]`."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)
    __pydantic_extra__: dict[str, Mapping[str, Any]] = Field(init=False)

    required: Annotated[Sequence[str], BeforeValidator(_names)] = Field(default_factory=list)

    @property
    def options(self) -> Mapping[str, Mapping[str, Any]]:
        """Plugin name to what was set for it."""
        return self.__pydantic_extra__

    @property
    def needed(self) -> tuple[str, ...]:
        """Those required by name, and those with a section of their own: rules that were written down must hold."""
        return tuple(dict.fromkeys((*self.required, *self.options)))


class LimitSettings(_Section):
    """The limits of everybody; people set tighter ones of their own. Amounts are worth in USDT."""

    order: Money = None
    day: Money = None
    day_loss: Money = None
    approval: Money = None
    open_orders: int = Field(default=100, ge=1)
    orders_a_minute: int = Field(default=6, ge=1)
    price_collar_percent: Money = Decimal(5)
    slippage_percent: Money = Decimal(1)
    pairs: Annotated[Sequence[str], BeforeValidator(_names)] = Field(default_factory=list)


class AlertSettings(_Section):
    """How many alerts there may be."""

    per_user: int = Field(default=100, ge=1)
    total: int = Field(default=100_000, ge=1)


class Logging(_Section):
    """What is logged."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    format: Literal["text", "json"] = "text"


class HealthSettings(_Section):
    """Where monitors on this machine ask how the bot is."""

    port: int | None = Field(default=None, ge=1, le=65535)


class Heartbeat(_Section):
    """What is called every minute while all is well."""

    url: Annotated[SecretStr, AfterValidator(_heartbeat)] = SecretStr("")


class Settings(_Section):
    """Everything that can be configured. Frozen."""

    telegram: Telegram = Telegram()
    web: Web = Web()
    access: Access = Access()
    storage: Storage = Storage()
    vault: VaultSettings = VaultSettings()
    exchanges: Mapping[str, ExchangeSettings] = Field(default_factory=dict)
    plugins: Plugins = Plugins()
    limits: LimitSettings = LimitSettings()
    alerts: AlertSettings = AlertSettings()
    hooks: HookSettings = HookSettings()
    logging: Logging = Logging()
    health: HealthSettings = HealthSettings()
    heartbeat: Heartbeat = Heartbeat()


def load(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the configuration.

    Args:
        path: The TOML file. `None` takes `TRADEWIRE_CONFIG` or the default place, where it may be missing.
        environ: The environment.

    Raises:
        ConfigError: All that is wrong, one line each: the key, what is wrong with it, where it was set.
    """
    chosen = path or (Path(environ[PREFIX + "CONFIG"]) if environ.get(PREFIX + "CONFIG") else None)
    file = chosen or DEFAULT_PATH
    values: dict[str, Any] = {}
    if chosen is not None or file.exists():
        values = _read(file)
    problems = _merge_environment(values, environ)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems += [_sentence(each, environ) for each in error.errors()]
        settings = None
    if problems or settings is None:
        raise ConfigError(f"The configuration {file} is wrong:\n" + "\n".join(f"  {line}" for line in problems))
    return settings


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"There is no configuration at {file}. Make one with: tradewire init --config {file}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The configuration {file} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The configuration {file} is not TOML: {error}") from error


def _merge_environment(values: dict[str, Any], environ: Mapping[str, str]) -> list[str]:
    problems = []
    for name, text in sorted(environ.items()):
        keys = name.removeprefix(PREFIX).lower().split("__")
        if not name.startswith(PREFIX) or name.removeprefix(PREFIX) in _NOT_SETTINGS:
            continue
        if len(keys) < 2:
            problems.append(f"{name}: a setting is named like {PREFIX}TELEGRAM__TOKEN")
            continue
        value = text
        if keys[-1].endswith("_file") and keys != ["vault", "key_file"]:
            keys[-1] = keys[-1].removesuffix("_file")
            try:
                value = Path(text).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                problems.append(f"{name}: the file {text} cannot be read ({getattr(error, 'strerror', 'not UTF-8')})")
                continue
        section: Any = values
        for key in keys[:-1]:
            section = section.setdefault(key, {}) if isinstance(section, dict) else None
        if isinstance(section, dict):  # else the check that follows names the section
            section[keys[-1]] = value
    return problems


def _sentence(error: Any, environ: Mapping[str, str]) -> str:
    place = error["loc"]
    variable = PREFIX + "__".join(str(part) for part in place).upper()
    key = f"[{'.'.join(str(part) for part in place[:-1])}] {place[-1]}" if len(place) > 1 else f"[{place[0]}]"
    source = next((f" (set by {name})" for name in (variable, variable + "_FILE") if name in environ), "")
    if error["type"] == "extra_forbidden":
        return f"{key}: there is no such key; config.example.toml lists them all{source}"
    return f"{key}: {error['msg'].removeprefix('Value error, ')}{source}"
