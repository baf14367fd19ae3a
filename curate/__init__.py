"""Build human-corrected, traceable corpora for affective computing from raw video, audio and text."""

__version__ = "0.1.0"
