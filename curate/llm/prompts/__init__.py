"""Prompts: templates, fenced material, examples and the answers expected."""
