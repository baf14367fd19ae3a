"""What a workspace stores: tables, blobs, runs and releases, in a folder or on an object store."""
