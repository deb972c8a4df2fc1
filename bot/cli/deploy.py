"""`tradewire deploy`: the files with which a server runs the bot, ready to be saved."""

from __future__ import annotations

import sys
from pathlib import Path

import click

FILES = {
    "systemd": "tradewire.service",
    "docker": "Dockerfile",
    "plugins": "Dockerfile.plugins",
    "compose": "compose.yaml",
    "caddy": "Caddyfile",
    "nginx": "nginx.conf",
}
EXECUTABLE = "/opt/tradewire/.venv/bin/tradewire"
_HIDDEN = ("/home/", "/root/", "/run/user/")


@click.command()
@click.argument("kind", type=click.Choice(tuple(FILES)))
def deploy(kind: str) -> None:
    """Print a file for this server; its first lines say where it goes.

    `systemd` is a unit, `docker` an image, `plugins` an image with plugins of yours, `compose` runs either, and
    `caddy` and `nginx` put TLS in front of webhooks.
    """
    text = template(kind)
    if kind == "systemd":
        executable = Path(sys.executable).with_name("tradewire")
        if str(executable).startswith(_HIDDEN):
            click.echo(
                f"The unit names {EXECUTABLE}: a service cannot see {executable}. Install tradewire into "
                "/opt/tradewire, or change ExecStart and ProtectHome.",
                err=True,
            )
        else:
            text = text.replace(EXECUTABLE, str(executable))
    click.echo(text, nl=False)


def template(kind: str) -> str:
    """Return a file as it lies in `deploy/`, or in the package where there is no checkout."""
    installed = Path(__file__).with_name("deployment") / FILES[kind]
    source = Path(__file__).parents[2] / "deploy" / FILES[kind]
    return (installed if installed.exists() else source).read_text(encoding="utf-8")
