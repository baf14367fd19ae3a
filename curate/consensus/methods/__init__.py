"""From the judgements of several raters to one label: each method as a function on arrays."""
