"""Judgements of other people's tables: the mapping language, and what it makes of rows."""
