"""The preprocess stage: sources become items, faces and crops."""
