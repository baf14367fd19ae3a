"""One face of a video over time, with its best crops and the motion of its mouth."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from curate.media.container.decode import Span
from curate.media.faces.crops import Crop
from curate.media.faces.mouth import MouthMotion
from curate.media.faces.tracks import Track


class StoredCrop(NamedTuple):
    """The name of a stored crop and its time."""

    time_s: float
    name: str


@dataclass
class FaceTrack:
    """A face track and its crops.

    ``best`` holds the best crop within each span in which the face was detected, by the index of the span; ``frames``
    and ``video`` name what was stored.
    """

    track: Track
    best: dict[int, Crop] = field(default_factory=dict)
    mouth: MouthMotion = field(default_factory=MouthMotion)
    frames: list[StoredCrop] = field(default_factory=list)
    video: str | None = None
    visible_share: float = 1.0
    """Median share of the box inside the picture"""

    @property
    def crop(self) -> Crop:
        """The best of all crops."""
        return max(self.best.values(), key=lambda crop: crop.score)

    @property
    def size_px(self) -> float:
        """Median of the longer side of the boxes."""
        return float(np.median([face.size_px for face in self.track.faces]))

    def detections_in(self, span: Span) -> int:
        """Return the number of detections within a span."""
        return sum(span.start_s <= time_s <= span.end_s for time_s in self.track.times_s)
