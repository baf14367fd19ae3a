"""Small files of signals, as tools write them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np


def write_openface(
    path: Path,
    *,
    times_s: Sequence[float],
    faces: Sequence[int] = (0,),
    failed: Sequence[int] = (),
    confidence: float = 0.98,
    shift: float = 0.0,
) -> Path:
    """A table of OpenFace 2 with AU01 that rises by .01 a frame (and 1 a face), and AU12 that is there every 2nd."""
    lines = ["frame, face_id, timestamp, confidence, success, x_0, AU01_r, AU12_r, AU12_c"]
    for index, time_s in enumerate(times_s):
        for face in faces:
            success = int(index not in failed)
            au1, au12 = face + shift + index / 100, 3.2 if index % 2 else 0.1
            cells = [index + 1, face, f"{time_s:.3f}", confidence, success, 100 + index]
            cells += [f"{au1:.2f}", au12, index % 2] if success else [0, 0, 0]
            lines.append(", ".join(map(str, cells)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def parts_of(row: dict, start_s: float, end_s: float) -> np.ndarray:
    """The plain slice of a row of ``signals``: columns by times."""
    times = np.array(row["times_s"])
    return np.array(row["values"], float)[:, (times >= start_s) & (times < end_s)]
