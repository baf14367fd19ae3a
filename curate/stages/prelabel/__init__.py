"""The prelabel stage: models propose labels."""
