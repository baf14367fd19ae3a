"""How far raters agree: measures over arrays of judgements, and the table that says which measure fits which field."""
