"""Where a stage runs: in this process, in several, or elsewhere."""
