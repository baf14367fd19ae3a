"""Media files: opening, decoding, timelines, pictures and rendering."""
