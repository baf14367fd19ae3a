"""Watch a video once: its shots, its faces followed and cropped, and how their mouths move."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from curate.media.container.decode import MERGE_S, Span, merge, read_pictures
from curate.media.container.open import SquareVideo
from curate.media.container.planes import Planes
from curate.media.faces.background import Aside
from curate.media.faces.crops import Crop, crop_frame, most_worth, square_of
from curate.media.faces.detector import Face, FaceDetector
from curate.media.faces.looking import Looker
from curate.media.faces.mouth import MouthMotion
from curate.media.faces.tracks import MAX_GAP_S, Track
from curate.media.shots import Shot, ShotFinder

Crops = Literal["none", "best", "frames", "video"]
Keep = Callable[[bytes, str], str]
"""Stores bytes under a suffix and gives their name."""
_MOUTH_S = 0.055
"""Frames nearer than this to the last sample of the mouth are passed over."""
_ASIDE_BYTES = 24_000_000
_MOST_TOGETHER = 25


class KeptFrame(NamedTuple):
    """A stored crop and when it was taken."""

    time_s: float
    name: str


@dataclass
class FaceTrack:
    """One face over time, and what was kept of it.

    ``best`` is its best crop in each span (by the span's place in the list) that it was seen in; ``frames`` and
    ``video`` name what was stored.
    """

    track: Track
    best: dict[int, Crop] = field(default_factory=dict)
    mouth: MouthMotion = field(default_factory=MouthMotion)
    frames: list[KeptFrame] = field(default_factory=list)
    video: str | None = None
    visible_share: float = 1.0
    """Median share of the box inside the picture"""

    @property
    def crop(self) -> Crop:
        """The best of all crops."""
        return max(self.best.values(), key=lambda crop: crop.worth)

    @property
    def size_px(self) -> float:
        """Median of the longer side of the boxes."""
        return float(np.median([face.size_px for face in self.track.faces]))

    @property
    def length_s(self) -> float:
        """From the first look to the last."""
        return self.track.times_s[-1] - self.track.times_s[0]

    def looks_in(self, span: Span) -> int:
        """In how many of the frames looked at within a span the face was seen."""
        return sum(span.start_s <= time_s <= span.end_s for time_s in self.track.times_s)


class Watched(NamedTuple):
    """What was seen of a video: face tracks by first appearance, shots in order."""

    tracks: list[FaceTrack]
    shots: list[Shot]


def watch(
    path: Path,
    spans: Sequence[Span],
    detector: FaceDetector,
    *,
    every: int = 5,
    min_face_px: int = 40,
    size_px: int = 256,
    crops: Crops = "best",
    keep: Keep | None = None,
) -> Watched:
    """The shots and face tracks of the spans of a video, which are in order and do not overlap.

    Faces are located at every ``every``-th frame; those whose box is below ``min_face_px`` are passed over. Crops are
    ``size_px`` square (rounded up to even): the best of each track in each span, and through ``keep`` also one of every
    look (``frames``: JPEG) or every frame (``video``: one H.264 MP4 a track). ``none`` rates crops but encodes none.
    What ``keep`` raises ends the reading. Memory does not grow with the pictures, only with the tracks.
    """
    if crops in ("frames", "video") and keep is None:
        raise ValueError(f"crops={crops!r} needs somewhere to keep them")
    keeper = _Keeper(size_px + size_px % 2, crops, keep)
    with closing(read_pictures(path, spans, ahead=True)) as pictures, closing(Aside(_ASIDE_BYTES)) as aside:
        watcher = _Watcher(spans, Looker(detector, min_face_px), every, keeper, aside)
        for picture in pictures:
            watcher.see(picture.time_s, picture.to_planes())
        return watcher.finish()


class _Watcher:
    """Parts the frames by cuts, follows faces over them, and has what was seen kept on another thread."""

    def __init__(self, spans: Sequence[Span], looker: Looker, every: int, keeper: "_Keeper", aside: Aside) -> None:
        self._spans, self._stretches = list(spans), merge(spans, MERGE_S)
        self._looker, self._every, self._keeper, self._aside = looker, every, keeper, aside
        self._finder = ShotFinder()
        self._found: dict[int, FaceTrack] = {}
        self._shares: dict[int, list[float]] = {}
        self._since: list[tuple[float, Planes]] = []
        self._waiting: list[tuple[float, Planes]] = []
        self._count = 0

    def see(self, time_s: float, planes: Planes) -> None:
        if self._stretches and time_s >= self._stretches[0].end_s:
            self._settle()
            self._finish_stretch()
            self._finder.pause()
        while self._stretches and time_s >= self._stretches[0].end_s:
            self._stretches.pop(0)
        self._waiting.append((time_s, planes))
        newest = self._count + len(self._waiting) - 1
        if newest % self._every == 0 or len(self._waiting) == _MOST_TOGETHER:
            self._settle()

    def _settle(self) -> None:
        """Part the frames since the last look by the cuts among them; look at the first of a shot and those due."""
        frames, self._waiting = self._waiting, []
        if not frames:
            return
        cuts = self._finder.cuts([time_s for time_s, _ in frames], lambda place: frames[place][1].thumb())
        for place, frame in enumerate(frames):
            if place in cuts:
                self._finish_stretch()
            if self._since and frame[0] - self._since[0][0] > MAX_GAP_S:
                # No track is followed over more, so that what lies between will not be gone over.
                del self._since[:-1]
            self._since.append(frame)
            if self._count % self._every == 0:
                self._look(*frame)
            self._count += 1

    def finish(self) -> Watched:
        self._settle()
        self._finish_stretch()
        self._finder.pause()
        self._aside.finish()
        for key, shares in self._shares.items():
            self._found[key].visible_share = float(np.median(shares))
        tracks = [found for found in self._found.values() if found.best]
        return Watched(sorted(tracks, key=lambda found: found.track.times_s[0]), self._finder.shots)

    def _finish_stretch(self) -> None:
        """Locate the faces in the last frame before a cut or gap, and end all tracks."""
        if len(self._since) > 1 and self._looker.tracker.known:
            self._look(*self._since[-1])
        self._aside.do(self._keeper.end_videos)
        self._looker.reset()
        self._since, self._count = [], 0

    def _look(self, time_s: float, planes: Planes) -> None:
        place = next((i for i, span in enumerate(self._spans) if span.start_s <= time_s <= span.end_s), None)
        seen = []
        for track, face in self._looker.look(time_s, planes):
            found = self._found.setdefault(id(track), FaceTrack(track))
            self._shares.setdefault(id(track), []).append(face.visible_share(planes.width, planes.height))
            # The frames since the last look, the face interpolated between both.
            since = self._since[0 if len(track.times_s) == 1 else 1 :]
            between = [_Shown(at_s, shown, there) for at_s, shown in since if (there := track.at(at_s)) is not None]
            seen.append(_Seen(found, _Shown(time_s, planes, face), between))
        known = [self._found[id(track)] for track in self._looker.tracker.known]
        size_bytes = sum(picture.y.nbytes * 3 // 2 for _, picture in self._since)
        self._aside.do(partial(self._keeper.take, seen, place, known), size_bytes=size_bytes)
        self._since = [(time_s, planes)]


class _Shown(NamedTuple):
    time_s: float
    planes: Planes
    face: Face


class _Seen(NamedTuple):
    found: FaceTrack
    now: _Shown
    between: list[_Shown]
    """The frames from the last look to this one."""


class _Keeper:
    """Rates, crops, encodes and stores; whoever calls it does so from one thread at a time."""

    def __init__(self, size_px: int, crops: Crops, keep: Keep | None) -> None:
        self._size_px, self._crops, self._keep = size_px, crops, keep
        self._videos: dict[int, tuple[FaceTrack, SquareVideo]] = {}

    def take(self, seen: Sequence[_Seen], place: int | None, known: Sequence[FaceTrack]) -> None:
        """Keep the faces of one look, in the span at a place or in none, and of the frames before it.

        Tracks that are not ``known`` any more are over.
        """
        for found, now, between in seen:
            if place is not None:
                self._crop(found, now, place)
            for shown in between:
                if shown.time_s - found.mouth.last_s >= _MOUTH_S:
                    found.mouth.see(*shown)
                if self._crops == "video":
                    self._film(found, shown)
        self.end_videos(known)

    def end_videos(self, known: Sequence[FaceTrack] = ()) -> None:
        """Store the videos under way, but for those of ``known`` tracks."""
        goes_on = {id(found) for found in known}
        for key in [key for key in self._videos if key not in goes_on]:
            found, video = self._videos.pop(key)
            if self._keep is not None:
                found.video = self._keep(video.finish(), "mp4")

    def _crop(self, found: FaceTrack, now: _Shown, place: int) -> None:
        time_s, planes, face = now
        size_px, known = self._size_px, found.best.get(place)
        least = known.worth if known else -1.0
        most = most_worth(face, width=planes.width, height=planes.height, size_px=size_px)
        if self._crops != "frames" and known and most <= least:
            return
        floor = -1.0 if self._crops == "frames" else least
        crop = crop_frame(planes, face, time_s=time_s, size_px=size_px, encode=self._crops != "none", least=floor)
        if crop is None:
            return
        if self._crops == "frames" and self._keep is not None:
            found.frames.append(KeptFrame(time_s, self._keep(crop.jpeg, "jpg")))
        if crop.worth > least:
            found.best[place] = crop

    def _film(self, found: FaceTrack, shown: _Shown) -> None:
        square = square_of(shown.planes, shown.face, self._size_px)
        if square is not None:
            if id(found) not in self._videos:
                self._videos[id(found)] = (found, SquareVideo(self._size_px))
            self._videos[id(found)][1].add(shown.time_s, square)
