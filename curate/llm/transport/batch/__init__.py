"""Batch jobs of OpenAI-compatible services."""
