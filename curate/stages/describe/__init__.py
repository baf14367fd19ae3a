"""Texts that fit the labels that people gave."""
