"""Tables of other people: files with rows, read as text with the line of each row."""
