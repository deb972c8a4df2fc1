"""How the book is built: `sphinx-build -W -b html docs build/book`, with the extra `docs`. No network is needed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "tradewire"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = project
html_copy_source = False
html_show_sphinx = False
exclude_patterns = ["Thumbs.db"]
myst_heading_anchors = 4

DOCS = Path(__file__).parent


def pages() -> list[Path]:
    """Return the pages of the book in the order of its index."""
    index = DOCS / "index.md"
    toctree = index.read_text(encoding="utf-8").partition("```{toctree}\n")[2].partition("```")[0]
    return [index, *(DOCS / f"{name}.md" for name in re.findall(r"^[a-z][\w/-]*$", toctree, flags=re.MULTILINE))]


def whole() -> str:
    """Return the book as one text, each page under its path."""
    parts = (f"<!-- docs/{page.relative_to(DOCS)} -->\n\n{page.read_text(encoding='utf-8')}" for page in pages())
    return "\n".join(parts)


def setup(app: Sphinx) -> None:
    """Write the one-file book beside the pages."""

    def write(app: Sphinx, error: Exception | None) -> None:
        if error is None:
            (Path(app.outdir) / "llms-full.txt").write_text(whole(), encoding="utf-8")

    app.connect("build-finished", write)
