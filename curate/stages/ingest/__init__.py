"""The ingest stage: raw files and posts become sources."""
