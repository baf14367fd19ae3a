"""What `import curate` gives a notebook or script: workspaces as frames, runs, agreement, consensus and releases."""
