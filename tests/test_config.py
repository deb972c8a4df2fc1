from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from bot import config
from bot.config import ExchangeSettings, Settings, load
from bot.contract.errors import ConfigError

EXAMPLE = (Path(__file__).parents[1] / "config.example.toml").read_text(encoding="utf-8")
TOKEN = "123456789:AAExampleTokenThatMustNotShow-0123456"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def flat(model: BaseModel) -> dict[str, Any]:
    """Return every setting as `section.key`, paths and secrets as text."""
    sections = {**dict(model), "exchanges.bitget": ExchangeSettings()}
    del sections["exchanges"]
    found: dict[str, Any] = {}
    for name, section in sections.items():
        for key, value in section:
            secret = getattr(value, "get_secret_value", None)
            found[f"{name}.{key}"] = secret() if secret else str(value) if isinstance(value, Path) else value
    return found


def test_example_with_every_key_set_has_each_default_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """config.example.toml names every key of Settings with its default; those without one are said to be unset."""
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/ann")
    fresh = importlib.util.spec_from_file_location("config_of_ann", config.__file__)
    assert fresh is not None
    assert fresh.loader is not None
    module = importlib.util.module_from_spec(fresh)
    monkeypatch.setitem(sys.modules, "config_of_ann", module)
    fresh.loader.exec_module(module)  # the default paths depend on the home directory

    text = re.sub(r"(Not set by default\.\n# [a-z_]+ = ).*", r'\1"unset"', EXAMPLE).replace('"~/', '"/home/ann/')
    values = tomllib.loads(re.sub(r"^# (?=\[|[a-z_]+ = )", "", text, flags=re.MULTILINE))
    exchanges = values.pop("exchanges")
    sections = {**values, **{f"exchanges.{name}": section for name, section in exchanges.items()}}
    shown = {
        f"{name}.{key}": None if value == "unset" else value
        for name, section in sections.items()
        for key, value in section.items()
    }
    assert shown == flat(module.Settings())


def test_example_as_it_is_means_the_defaults(file: Path) -> None:
    """Copying the example changes nothing: every key in it is commented out."""
    file.write_text(EXAMPLE)
    assert load(file, {}) == Settings()


def test_load_with_many_mistakes_names_all_of_them(file: Path) -> None:
    """One look at the error is enough: every wrong key, what it accepts, and the variable that set it."""
    file.write_text('[telegram]\ntoken = "abc"\n[access]\nowner = -1\n[storage]\nplace = "x"\n[loging]\n')
    with pytest.raises(ConfigError) as caught:
        load(file, {"TRADEWIRE_LOGGING__LEVEL": "loud", "TRADEWIRE_TOKEN": "x"})
    assert str(caught.value).splitlines() == [
        f"The configuration {file} is wrong:",
        "  TRADEWIRE_TOKEN: a setting is named like TRADEWIRE_TELEGRAM__TOKEN",
        "  [telegram] token: a token has the form 123456789:text, as BotFather gives it",
        "  [access] owner: Input should be greater than 0",
        "  [storage] place: there is no such key; config.example.toml lists them all",
        "  [logging] level: Input should be 'DEBUG', 'INFO', 'WARNING' or 'ERROR' (set by TRADEWIRE_LOGGING__LEVEL)",
        "  [loging]: there is no such key; config.example.toml lists them all",
    ]


def test_load_environment_wins_over_the_file(file: Path, tmp_path: Path) -> None:
    """A variable replaces the file's value, also inside an exchange's section; `_FILE` reads the value from a file."""
    file.write_text("[access]\nowner = 1\n[exchanges.bitget]\nenabled = false\n")
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    settings = load(
        file,
        {
            "TRADEWIRE_ACCESS__OWNER": "2",
            "TRADEWIRE_TELEGRAM__TOKEN_FILE": str(tmp_path / "token"),
            "TRADEWIRE_VAULT__KEY_FILE": "/keys/master.key",
            "TRADEWIRE_EXCHANGES__BITGET__BASE_URL": "http://127.0.0.1:8080/",
            "TRADEWIRE_LOAD_PLUGINS": "",
            "OTHER_LOGGING__LEVEL": "loud",
        },
    )
    bitget = ExchangeSettings(enabled=False, base_url="http://127.0.0.1:8080")
    assert (settings.access.owner, settings.exchanges) == (2, {"bitget": bitget})
    assert settings.telegram.token.get_secret_value() == TOKEN
    assert settings.vault.key_file == Path("/keys/master.key")


def test_load_secret_file_unreadable_names_variable_and_file(file: Path, tmp_path: Path) -> None:
    """A `_FILE` that is not there is an error, not an empty token."""
    file.write_text("")
    absent = tmp_path / "absent"
    with pytest.raises(ConfigError) as caught:
        load(file, {"TRADEWIRE_TELEGRAM__TOKEN_FILE": str(absent)})
    assert str(caught.value).splitlines()[1:] == [
        f"  TRADEWIRE_TELEGRAM__TOKEN_FILE: the file {absent} cannot be read (No such file or directory)"
    ]


def test_load_section_that_is_no_section_is_one_error(file: Path) -> None:
    """A value where a section belongs is named once, also when a variable would set a key inside it."""
    file.write_text("access = 3\n")
    with pytest.raises(ConfigError) as caught:
        load(file, {"TRADEWIRE_ACCESS__OWNER": "2"})
    assert [line.split(":")[0] for line in str(caught.value).splitlines()[1:]] == ["  [access]"]


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        (f'[telegram]\ntoken = "x{TOKEN}"\n', {}),
        (f'[telegram]\ntoken = ["{TOKEN}"]\n', {}),
        (f'[telegram]\ntoken = "{TOKEN}"\nproxy = 3\n', {}),
        (f'[telegram]\ntoken = "{TOKEN}\n', {}),
        (f'[telegram]\ntokn = "{TOKEN}"\n', {}),
        ("", {"TRADEWIRE_TELEGRAM__TOKEN": f"x{TOKEN}"}),
    ],
)
def test_load_token_beside_a_mistake_is_not_quoted(file: Path, text: str, environ: dict[str, str]) -> None:
    """No error about the configuration shows the token, neither in its text nor in what it was raised from."""
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file, environ)
    chain = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert TOKEN[10:] not in " ".join(f"{error} {error!r}" for error in chain)


def test_settings_repr_hides_the_token(file: Path) -> None:
    """Neither repr nor str of the settings shows the token."""
    file.write_text(f'[telegram]\ntoken = "{TOKEN}"\n')
    settings = load(file, {})
    assert TOKEN[10:] not in f"{settings!r} {settings} {settings.telegram!r}"


def test_load_named_file_missing_says_how_to_make_it(file: Path) -> None:
    """A path that was asked for must exist; the default place may be empty."""
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert str(caught.value) == (f"There is no configuration at {file}. Make one with: tradewire init --config {file}")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[storage]\ndirectory = 5\n", "[storage] directory: write a path in quotes"),
        ('[storage]\ndirectory = ""\n', "[storage] directory: write a path in quotes"),
        ("[vault]\nkey_file = true\n", "[vault] key_file: write a path in quotes"),
        ('[vault]\nkey_file = "~nosuchuser/x"\n', "[vault] key_file: there is no such home directory"),
        ('[exchanges.bitget]\nlocal_address = "here"\n', "local_address: write an IP address"),
        ('[exchanges.bitget]\nproxy = "here"\n', "proxy: write an address such as"),
    ],
)
def test_load_value_of_the_wrong_kind_is_one_sentence(file: Path, text: str, sentence: str) -> None:
    """A path, an address or a proxy that cannot be one is told as any other mistake, without a traceback."""
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert sentence in str(caught.value)
