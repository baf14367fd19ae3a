"""Sections of the run report."""
