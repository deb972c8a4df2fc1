"""`tradewire resume`; it is beside `tradewire panic`."""

from bot.cli.panic import resume

__all__ = ["resume"]
