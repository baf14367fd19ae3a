"""People judge items in Label Studio: the local server, its projects, and the way there and back."""
