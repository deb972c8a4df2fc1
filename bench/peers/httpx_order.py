"""httpx as it comes, with one client for all: how the transport under the driver used to be."""

import sys

import httpx

from bench.clients import serve
from bench.peers.tradewire_order import driver

place, close = driver(sys.argv[1], httpx.AsyncHTTPTransport())
serve(place, close)
