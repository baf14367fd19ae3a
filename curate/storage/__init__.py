"""What a workspace keeps: tables, blobs, runs and releases."""
