"""Splits of a release: what may not be separated, which split each item is in, and how even they are."""
