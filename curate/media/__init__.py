"""Pixels and sound of media files: probed, decoded, segmented, cut. No tables."""
