"""Models that propose labels."""
