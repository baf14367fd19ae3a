"""Derive: make items and their judgements from those of another corpus."""
