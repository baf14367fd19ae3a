"""Time-aligned annotations of other tools: tiers of labelled stretches of time in a recording."""
