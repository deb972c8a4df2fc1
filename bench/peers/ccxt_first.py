"""ccxt just after its start: its first order loads the markets. Runs with an interpreter that has ccxt."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from bench.clients import serve
from bench.peers.ccxt_order import bare, place_with

bitget = bare(sys.argv[1])
serve(lambda: place_with(bitget), bitget.close)
