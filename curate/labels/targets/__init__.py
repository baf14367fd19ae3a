"""What a label schema compiles to, one module for each target."""
