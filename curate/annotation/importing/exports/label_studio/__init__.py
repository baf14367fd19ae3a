"""Label Studio: exports of any project."""
