"""Prices, budgets and accounts of model requests."""
