from __future__ import annotations

import hmac
import stat
from contextlib import nullcontext
from pathlib import Path

import pytest

from bot.accounts.vault import MasterKey, create_master_key, load_master_key
from bot.contract.errors import VaultError


def test_create_master_key_is_private_and_loads(tmp_path: Path) -> None:
    """A new key is 32 bytes in a file that its owner alone can read, and two keys differ."""
    one, two = tmp_path / "keys" / "one", tmp_path / "keys" / "two"
    create_master_key(one)
    create_master_key(two)
    assert stat.S_IMODE(one.stat().st_mode) == 0o600
    assert len(bytes.fromhex(one.read_text())) == 32
    assert load_master_key(one).id == load_master_key(one).id != load_master_key(two).id


def test_create_master_key_existing_file_is_left_as_it_is(tmp_path: Path) -> None:
    """A key is never overwritten, nor is what a link points to made."""
    path, link = tmp_path / "key", tmp_path / "link"
    path.write_text("precious")
    link.symlink_to(tmp_path / "elsewhere")
    for taken in (path, link):
        with pytest.raises(VaultError, match="exists already"):
            create_master_key(taken)
    assert (path.read_text(), sorted(tmp_path.iterdir())) == ("precious", [path, link])


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601])
def test_load_master_key_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    """Any right of group or world refuses the file, and the text names the remedy."""
    path = tmp_path / "key"
    create_master_key(path)
    path.chmod(mode)
    with pytest.raises(VaultError, match=f"chmod 600 {path}"):
        load_master_key(path)


@pytest.mark.parametrize("content", ["", "ab" * 31, "ab" * 33, "zz" * 32, "ab " * 32, "é" * 32])
def test_load_master_key_wrong_content_is_refused_unquoted(tmp_path: Path, content: str) -> None:
    """Only 64 hex digits are a key; the text does not repeat what the file holds."""
    path = tmp_path / "key"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(VaultError, match="64 hex digits") as caught:
        load_master_key(path)
    assert not content or content not in str(caught.value)


def test_load_master_key_missing_or_directory_is_refused(tmp_path: Path) -> None:
    """Without a file there is no key, and none is made."""
    for path, text in ((tmp_path / "key", "tradewire init"), (tmp_path, "cannot be read")):
        with pytest.raises(VaultError, match=text):
            load_master_key(path)
    assert list(tmp_path.iterdir()) == []


def test_master_key_id_does_not_change() -> None:
    """The id is the first 16 bytes of HKDF-SHA256(key, no salt, "id/v1"), so old databases stay recognised."""
    # RFC 5869 by hand: extract with a zero salt, then expand one block.
    extracted = hmac.digest(bytes(32), bytes(range(32)), "sha256")
    assert MasterKey(bytes(range(32))).id == hmac.digest(extracted, b"id/v1\x01", "sha256").hex()[:32]


@pytest.mark.parametrize(("mode", "is_taken"), [(0o400, True), (0o440, True), (0o444, False), (0o460, False)])
def test_master_key_as_credential_of_systemd_may_show_a_right_of_the_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, is_taken: bool
) -> None:
    """systemd opens a credential by an access list, which shows as the group's; any other right is refused."""
    path = tmp_path / "master.key"
    create_master_key(path)
    path.chmod(mode)
    for directory, is_fine in ((tmp_path / "elsewhere", mode == 0o400), (tmp_path, is_taken)):
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(directory))
        with nullcontext() if is_fine else pytest.raises(VaultError, match="Others may read"):
            load_master_key(path)
