"""What a label schema compiles to."""
