"""Measurements: ratios to a peer and to a limit, taken in the same run. See bench/README.md."""
