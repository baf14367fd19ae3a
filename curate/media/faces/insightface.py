"""Run the networks of an InsightFace model pack; no other module imports InsightFace, nor OpenCV with it."""

import functools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.errors import MissingDependency
from curate.media.faces.detector import Face
from curate.media.onnx import load_errors, session_options

LICENCE_NOTE = (
    "InsightFace provides its model packs for non-commercial research only; "
    "the licence of the pack {name} covers how the faces were found."
)
DET_SIZE_PX = (640, 640)
_PREFIX = "insightface:"
_HINT = "unpack the pack again; a detector such as det_10g.onnx must be in the folder itself"


@dataclass(frozen=True)
class InsightFacePack:
    """The detector of one model pack; the other networks of the pack are not loaded for it."""

    folder: Path

    @property
    def name(self) -> str:
        return pack_name(self.folder)

    def detect(self, rgb: NDArray[np.uint8]) -> list[Face]:
        return self._faces(rgb, None)

    def detect_small(self, pictures: NDArray[np.uint8]) -> list[list[Face]]:
        size = _small_size(self.folder, pictures.shape[1])
        return [self._faces(picture, size) for picture in pictures]

    def _faces(self, rgb: NDArray[np.uint8], size: tuple[int, int] | None) -> list[Face]:
        network = _networks(self.folder, "detection")
        boxes, landmarks = network.detect(np.ascontiguousarray(rgb[:, :, ::-1]), input_size=size)
        faces = [
            Face(box[:4].astype(np.float32), points.astype(np.float32), float(box[4]))
            for box, points in zip(boxes, landmarks if landmarks is not None else (), strict=False)
        ]
        return sorted(faces, key=lambda face: -face.score)


def pack_name(folder: Path) -> str:
    """Return the detector name that the ``faces`` table records for a model pack."""
    return f"{_PREFIX}{folder.name}"


def licence_note(detector: str) -> str | None:
    """Return the licence notice of a detector by its name, for the user and the data card; None if it needs none."""
    return LICENCE_NOTE.format(name=detector.removeprefix(_PREFIX)) if detector.startswith(_PREFIX) else None


def pack_files(folder: Path) -> list[Path]:
    """Return the networks of a model pack, sorted by name."""
    return sorted(folder.glob("*.onnx"))


def open_pack(folder: Path) -> InsightFacePack:
    """Return the detector of a folder of ``.onnx`` files such as ``buffalo_l``; nothing is ever downloaded.

    Raises ``MissingDependency`` if the folder is missing, empty or corrupt, or OpenCV lacks a system library.
    """
    if not pack_files(folder):
        raise MissingDependency(
            f"the face model pack {folder} holds no .onnx file",
            hint="unpack an InsightFace model pack there, or omit faces.model_pack to use the default detector",
        )
    pack = InsightFacePack(folder.resolve())
    if _networks(pack.folder, "detection") is None:
        raise MissingDependency(f"the face model pack {folder} holds no detector that can be loaded", hint=_HINT)
    return pack


def embed_faces(folder: Path, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32] | None:
    """Return (n, size) unit vectors of n aligned square RGB crops (Deng et al. 2019, ArcFace).

    None if the pack has no recognition network. Crops of one person have a cosine near 1, of two people near 0.
    """
    network = _networks(folder.resolve(), "recognition")
    if network is None:
        return None
    if not crops:
        return np.zeros((0, int(network.output_shape[-1])), np.float32)
    vectors = [np.asarray(network.get_feat(np.ascontiguousarray(crop[:, :, ::-1]))[0], np.float64) for crop in crops]
    stacked = np.stack(vectors)
    return np.asarray(stacked / np.maximum(np.linalg.norm(stacked, axis=1, keepdims=True), 1e-9), np.float32)


@functools.cache
def _small_size(folder: Path, side: int) -> tuple[int, int] | None:
    """Return the input size for small pictures, or None if the network takes only one size."""
    size = (side // 32 * 32, side // 32 * 32)
    try:
        _networks(folder, "detection").detect(np.zeros((side, side, 3), np.uint8), input_size=size)
    except _failures():
        return None
    return size


@functools.cache
def _networks(folder: Path, task: str) -> Any:
    """Return the network of a pack for one task, or None if it has none."""
    search_path = list(sys.path)
    try:
        import insightface.app
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"faces.model_pack needs the package {error.name}", hint='pip install "curate[insightface]"'
        ) from error
    except (ImportError, OSError) as error:
        # OpenCV that fails to load leaves its own folder on the path, which hides the standard library from workers.
        sys.path[:] = search_path
        raise MissingDependency(
            f"the InsightFace detector cannot be loaded: {error}",
            hint="OpenCV needs libGL: apt-get install libgl1 libglib2.0-0, or omit faces.model_pack",
        ) from error
    try:
        analysis = insightface.app.FaceAnalysis(
            name=str(folder),
            allowed_modules=["detection", task] if task != "detection" else ["detection"],
            providers=["CPUExecutionProvider"],
            sess_options=session_options(),
        )
        analysis.prepare(ctx_id=-1, det_size=DET_SIZE_PX)
    except _failures() as error:
        raise MissingDependency(
            f"the face model pack {folder} holds no detector that can be loaded: {error or 'no detection network'}",
            hint=_HINT,
        ) from error
    return analysis.models.get(task)


def _failures() -> tuple[type[Exception], ...]:
    """Return what InsightFace and onnxruntime raise for an invalid file."""
    return (*load_errors(), AssertionError, RuntimeError, ValueError, LookupError, OSError, TypeError)
