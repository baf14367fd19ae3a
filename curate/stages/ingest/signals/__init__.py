"""Signals: tables of values over time that belong to media, such as action units or voice features."""
