"""What helps people write recipes: the shipped ones, every setting with its meaning, and a recipe for a folder."""
