"""Timelines: labelled ranges of time."""
