"""Faces: detection, tracking, cropping and identity."""
