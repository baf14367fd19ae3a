"""The only module that touches InsightFace (and with it OpenCV): the detector of a user's own model pack."""

import functools
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.errors import MissingDependency
from curate.media.faces import Face, pack_files
from curate.media.onnx_models import load_errors, session_options

DET_SIZE_PX = (640, 640)


@dataclass(frozen=True)
class InsightFacePack:
    """The detection network of one pack; its other networks are not loaded."""

    folder: Path

    @property
    def name(self) -> str:
        return f"insightface:{self.folder.name}"

    def detect(self, rgb: NDArray[np.uint8]) -> list[Face]:
        boxes, landmarks = _detector(self.folder).detect(np.ascontiguousarray(rgb[:, :, ::-1]))
        found = [
            Face(box[:4].astype(np.float32), points.astype(np.float32), float(box[4]))
            for box, points in zip(boxes, landmarks if landmarks is not None else (), strict=False)
        ]
        return sorted(found, key=lambda face: -face.score)


def open_pack(folder: Path) -> InsightFacePack:
    """The detector of a folder of ``.onnx`` files such as ``buffalo_l``; nothing is ever downloaded.

    Raises ``MissingDependency`` where the folder is absent, empty or corrupt, or OpenCV lacks a system library.
    """
    if not pack_files(folder):
        raise MissingDependency(
            f"the face model pack {folder} holds no .onnx file",
            hint="unpack an InsightFace model pack there, or leave faces.model_pack out to use the embedded detector",
        )
    pack = InsightFacePack(folder.resolve())
    _detector(pack.folder)
    return pack


@functools.cache
def _detector(folder: Path) -> Any:
    known = list(sys.path)
    try:
        import insightface.app
    except (ImportError, OSError) as error:
        # OpenCV that cannot load leaves its own folder on the path, where it hides the standard library from workers.
        sys.path[:] = known
        raise MissingDependency(
            f"the InsightFace detector cannot be loaded: {error}",
            hint="OpenCV needs libGL: apt-get install libgl1 libglib2.0-0, or leave faces.model_pack out",
        ) from error
    broken: tuple[type[Exception], ...] = (AssertionError, RuntimeError, ValueError, LookupError, OSError, TypeError)
    broken += load_errors()
    try:
        analysis = insightface.app.FaceAnalysis(
            name=str(folder),
            allowed_modules=["detection"],
            providers=["CPUExecutionProvider"],
            sess_options=session_options(),
        )
        analysis.prepare(ctx_id=-1, det_size=DET_SIZE_PX)
    except broken as error:
        raise MissingDependency(
            f"the face model pack {folder} holds no detector that can be loaded: {error or 'no detection network'}",
            hint="unpack the pack again; a detector such as det_10g.onnx has to lie in the folder itself",
        ) from error
    return analysis.det_model
