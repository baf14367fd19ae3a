"""Spans: labelled pieces of text with relations."""
