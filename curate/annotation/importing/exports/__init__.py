"""Exports of other people's annotation projects, as rows of the mapping language: one module for each tool."""
