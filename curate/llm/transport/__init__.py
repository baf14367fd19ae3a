"""Requests to model services: clients, rate limits, retries and batches."""
