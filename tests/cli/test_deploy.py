from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bot.cli import main
from bot.cli.deploy import EXECUTABLE, FILES, template
from bot.config import Settings, load

FOLDER = Path(__file__).parents[2] / "deploy"
PREFIX = r"TRADEWIRE_(?!CONFIG\b)[A-Z_]+"


def deploy(kind: str) -> Result:
    return CliRunner().invoke(main, ["deploy", kind])


def settings_named(text: str) -> set[str]:
    """The settings that a file gives by the environment."""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return set(re.findall(PREFIX, "\n".join(lines)))


@pytest.mark.parametrize("kind", [kind for kind in FILES if kind != "systemd"])
def test_deploy_prints_the_file_that_is_kept(kind: str) -> None:
    """One source: what is printed is what lies in deploy/, byte for byte."""
    result = deploy(kind)
    assert (result.exit_code, result.stdout) == (0, (FOLDER / FILES[kind]).read_text())


def test_deploy_systemd_names_this_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The printed unit starts the program that printed it."""
    monkeypatch.setattr(sys, "executable", "/srv/wire/bin/python")
    result = deploy("systemd")
    expected = template("systemd").replace(EXECUTABLE, "/srv/wire/bin/tradewire")
    assert (result.stdout, result.stderr, EXECUTABLE in result.stdout) == (expected, "", False)


def test_deploy_systemd_from_a_home_says_that_a_service_cannot_see_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The unit hides /home; an installation there needs another place, and the sentence says which."""
    monkeypatch.setattr(sys, "executable", "/home/ann/.venv/bin/python")
    result = deploy("systemd")
    assert result.stdout == template("systemd")
    assert "/home/ann/.venv/bin/tradewire. Install tradewire into /opt/tradewire" in result.stderr


def test_folder_holds_nothing_that_cannot_be_printed() -> None:
    """A file that is kept can be had without a checkout; what belongs to an image's build is the exception."""
    assert {path.name for path in FOLDER.iterdir()} == {*FILES.values(), "Dockerfile.dockerignore"}


@pytest.mark.parametrize("kind", ["systemd", "docker", "compose"])
def test_every_setting_in_a_file_is_one_that_the_bot_knows(kind: str, tmp_path: Path) -> None:
    """A key that was renamed does not live on in a unit or an image, where it would stop the start."""
    values = {"TOKEN": "1:x", "PORT": "8090"}
    named = settings_named(template(kind))
    secret = tmp_path / "secret"
    secret.write_text("123456789:AAx")
    environ = {name: str(secret) if "FILE" in name else values.get(name.split("__")[-1], "/data") for name in named}
    (tmp_path / "config.toml").write_text("")
    assert isinstance(load(tmp_path / "config.toml", environ), Settings)
    assert named


def test_systemd_unit_gives_what_the_bot_needs() -> None:
    """The settings that make it work: told when ready, watched, bounded, no restart on a wrong configuration."""
    lines = set(template("systemd").splitlines())
    assert lines >= {
        "Type=notify",
        "WatchdogSec=120",
        "LimitCORE=0",
        "DynamicUser=yes",
        "RestartPreventExitStatus=78",
        "TimeoutStopSec=45",
        "LoadCredential=telegram-token:/etc/tradewire/telegram-token",
        "LoadCredential=master.key:/etc/tradewire/master.key",
    }


def test_compose_is_locked_down() -> None:
    """Read-only, without rights, with one volume, and stopped with time to finish."""
    text = template("compose")
    wanted = (
        "read_only: true",
        "no-new-privileges:true",
        "cap_drop:\n      - ALL",
        "stop_grace_period: 45s",
        "core: 0",
    )
    assert [each for each in wanted if each not in text] == []
    assert re.findall(r"^      - (\w+):/", text, re.MULTILINE) == ["data"]


def test_image_runs_without_root_and_is_asked_for_its_health() -> None:
    """The last user is not root, and the check asks the port that the image sets."""
    text = template("docker")
    port = re.search(r"TRADEWIRE_HEALTH__PORT=(\d+)", text)
    assert port is not None
    assert re.findall(r"^USER (.+)$", text, re.MULTILINE)[-1] == "tradewire"
    assert f"http://127.0.0.1:{port[1]}/healthz" in text


@pytest.mark.parametrize("kind", ["caddy", "nginx"])
def test_proxy_recipes_lead_to_the_default_address(kind: str) -> None:
    """The recipes and `[web]` speak of the same port, and the health of the bot stays on the machine."""
    web = Settings().web
    assert re.findall(r"127\.0\.0\.1:\d+", template(kind)) == [f"{web.host}:{web.port}"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    """systemd itself finds nothing to say about it, and calls its exposure low."""
    unit = tmp_path / "tradewire.service"
    unit.write_text(template("systemd").replace(EXECUTABLE, str(Path(sys.executable).with_name("tradewire"))))
    verified = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")
    limit = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)]
    rated = subprocess.run(limit, capture_output=True, text=True, check=False)
    assert rated.returncode == 0, rated.stdout[-2000:]


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed")
@pytest.mark.parametrize("kind", ["docker", "plugins"])
def test_linter_accepts_the_image(kind: str) -> None:
    """hadolint finds nothing to say."""
    done = subprocess.run(["hadolint", "-"], input=template(kind), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
