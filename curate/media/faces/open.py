"""Open the face detector that a recipe asks for."""

from pathlib import Path

from curate.media.faces.centerface import CenterFace
from curate.media.faces.detector import FaceDetector
from curate.media.faces.insightface import open_pack


def open_detector(model_pack: Path | None = None) -> FaceDetector:
    """Return the detector of an InsightFace model pack, given its folder, or else the packaged CenterFace.

    Raises ``MissingDependency`` if the pack, or a library that it needs, is missing.
    """
    return CenterFace() if model_pack is None else open_pack(model_pack)
