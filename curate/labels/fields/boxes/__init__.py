"""Boxes: labelled rectangles on a picture."""
