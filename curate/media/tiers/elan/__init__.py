"""ELAN's ``.eaf`` files: read up to schema 3.0, written in 3.0."""
