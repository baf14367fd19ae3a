"""From many judgements to one label, and how far people agree. Pure: tables in, tables out."""
