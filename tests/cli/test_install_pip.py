"""`tradewire install` with pip itself, in an environment of its own and without a network."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.exchanges import lock as locks
from tests.exchanges.wheels import module

ROOT = Path(__file__).parents[2]

BACKEND = """
import base64, hashlib, zipfile
from pathlib import Path

def _wheel(directory, files):
    info = "tradewire_acme-1.0.dist-info"
    files = {{
        **files,
        info + "/METADATA": "Metadata-Version: 2.1\\nName: tradewire-acme\\nVersion: 1.0\\n",
        info + "/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        info + "/entry_points.txt": "[tradewire]\\nacme = tradewire_acme\\n",
    }}
    record = ""
    for path, text in files.items():
        hashed = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{{path}},sha256={{hashed}},{{len(text)}}\\n"
    name = "tradewire_acme-1.0-py3-none-any.whl"
    with zipfile.ZipFile(Path(directory) / name, "w") as archive:
        for path, text in {{**files, info + "/RECORD": record}}.items():
            archive.writestr(path, text)
    return name

def build_wheel(directory, config=None, metadata=None):
    return _wheel(directory, {{"tradewire_acme.py": Path("tradewire_acme.py").read_text()}})

def build_editable(directory, config=None, metadata=None):
    return _wheel(directory, {{"tradewire_acme.pth": str(Path.cwd())}})
"""
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python of its own, which sees the libraries of the one that runs the tests, and installs beside them."""
    place = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    (site,) = place.glob("lib/python3*/site-packages")
    (site / "parent.pth").write_text(f"import site; site.addsitedir({str(Path(pytest.__file__).parents[1])!r})\n")
    return place


@pytest.fixture
def outside(environment: Path, tmp_path: Path) -> Callable[..., str]:
    """Run the real command line with the real pip, in that environment."""
    config = tmp_path / "config.toml"
    config.write_text(f'[storage]\ndirectory = "{tmp_path / "data"}"\n')

    def run(*words: str, code: int = 0, **environ: str) -> str:
        command = [str(environment / "bin/python"), "-c", "from bot.cli import main; main()", *words]
        env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PIP_NO_INDEX": "1", "PYTHONPATH": str(ROOT), **environ}
        done = subprocess.run(
            [*command, "--config", str(config)], capture_output=True, text=True, env=env, cwd=tmp_path, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def _project(directory: Path) -> Path:
    project = directory / "tradewire-acme"
    project.mkdir()
    (project / "pyproject.toml").write_text(PROJECT)
    (project / "backend.py").write_text(BACKEND.format())
    (project / "tradewire_acme.py").write_text(module(directory / "canary"))
    return project


def test_real_pip_builds_installs_refuses_what_changed_restores_and_removes(
    outside: Callable[..., str], environment: Path, tmp_path: Path
) -> None:
    """The whole life of a plugin: from its directory into the environment, tampered with, put back, and gone."""
    canary = tmp_path / "canary"
    assert "tradewire-acme 1.0 is installed" in outside("install", "--yes", str(_project(tmp_path)))
    canary.unlink()
    (installed,) = environment.glob("lib/python3*/site-packages/tradewire_acme.py")
    installed.write_text(f"open({str(canary)!r}, 'w')")
    (row,) = (each for each in json.loads(outside("plugins", "--json")) if each["name"] == "acme")
    assert (row["state"], canary.exists()) == ("unusable", False)
    assert "was changed since it was installed" in row["why"]
    outside("install", "--restore")
    (row,) = (each for each in json.loads(outside("plugins", "--json")) if each["name"] == "acme")
    assert (row["state"], row["trust"], canary.read_text()) == ("enabled", "pinned", "acme ran")
    outside("uninstall", "--yes", "acme")
    assert not installed.exists()


def test_real_pip_installs_a_directory_for_its_author(
    outside: Callable[..., str], environment: Path, tmp_path: Path
) -> None:
    """With -e the author's next edit counts, and the list says that nothing is checked."""
    project = _project(tmp_path)
    outside("install", "--yes", str(project))
    assert "is installed, used from its directory, unchecked." in outside("install", "--yes", "-e", str(project))
    assert list((tmp_path / "data" / "plugins").iterdir()) == []
    (project / "tradewire_acme.py").write_text("raise ImportError('an edit')")
    (row,) = (each for each in json.loads(outside("plugins", "--json")) if each["name"] == "acme")
    assert (row["trust"], "an edit" in row["why"]) == ("development", True)
    outside("uninstall", "--yes", "acme")


def test_real_pip_downloads_wheels_only(outside: Callable[..., str], tmp_path: Path) -> None:
    """S7, source archive, from an index that has nothing else: no byte of it runs."""
    index = tmp_path / "index"
    index.mkdir()
    (index / "tradewire_acme-1.0.tar.gz").write_bytes(b"not even an archive")
    told = outside("install", "--yes", "tradewire-acme", code=1, PIP_FIND_LINKS=str(index))
    assert "Error: pip download failed: Could not find a version that satisfies the requirement tradewire-acme" in told


@pytest.mark.nightly
@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_real_pip_builds_a_wheel_from_git(outside: Callable[..., str], tmp_path: Path) -> None:
    """An address is built like a directory, and stays the source for upgrades."""
    project = _project(tmp_path)
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (("init", "-q"), ("add", "."), (*identity, "commit", "-q", "-m", "first")):
        subprocess.run(["git", *words], cwd=project, check=True)
    source = f"git+file://{project}"
    assert "tradewire-acme 1.0 is installed, recorded with sha256" in outside("install", "--yes", source)
    assert locks.read(tmp_path / "data").plugins["tradewire-acme"].source == source
    outside("uninstall", "--yes", "acme")
