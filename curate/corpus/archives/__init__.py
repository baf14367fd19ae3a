"""Members of zip and tar archives, which are raw files of their own."""
