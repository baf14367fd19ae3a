"""A written release in the shapes that other tools read, one file a shape."""
