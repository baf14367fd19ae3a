"""Workspaces in S3-compatible object stores."""
