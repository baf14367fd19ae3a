"""Releases: what leaves the workspace, as immutable folders of Parquet shards with a manifest and a card."""
