"""May a model replace a rater, and whom does it judge differently: audits of proposals against people who saw none."""
