"""The same attack guided by coverage: `pip install atheris`, then `python -m tests.security.atheris_updates [CORPUS]`.

Not part of the tests. Options are those of libFuzzer, such as `-max_total_time=3600`. A crash is written to a file; run
the command with that file to see it again.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from pathlib import Path
from random import Random


def main() -> None:
    """Fuzz until stopped."""
    import atheris  # type: ignore[import-not-found]

    with atheris.instrument_imports(include=["bot"]):
        from bot.exchanges import address
        from tests.security.test_fuzz_updates import Target

    address.outgoing_address = lambda: "192.0.2.7"
    runner, target = asyncio.Runner(), Target(Path(tempfile.mkdtemp()))
    logging.getLogger().addHandler(target.errors)

    def once(data: bytes) -> None:
        provider = atheris.FuzzedDataProvider(data)
        text = provider.ConsumeUnicode(60)
        wrong = runner.run(target.throw(Random(provider.ConsumeInt(8)), (text,), count=1))
        assert not wrong, wrong

    atheris.Setup(sys.argv, once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
