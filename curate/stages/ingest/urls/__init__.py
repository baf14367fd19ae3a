"""Links as raw files: fetched politely, once, and with an outcome for each."""
