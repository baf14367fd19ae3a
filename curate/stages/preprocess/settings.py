"""Settings of preprocess, by topic."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from curate.corpus.sources import RawFolders

CutBy = Literal["speech", "window", "shot", "cue", "clip"]
TranscriptSource = Literal["subtitles", "whisper", "endpoint"]
SplitPosts = Literal["whole", "sentences", "turns"]


class Settings(BaseModel):
    """A group of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Faces(Settings):
    """How faces are detected, cropped and stored."""

    model_pack: str | None = None
    """Folder of an InsightFace model pack, relative to the recipe. The embedded CenterFace by default."""
    min_face_px: int = Field(40, ge=8, le=4096)
    every: int = Field(5, ge=1, le=1000)
    """Look for faces in every n-th frame."""
    size_px: int = Field(256, ge=32, le=1024)
    keep: Literal["best", "frames", "video"] = "best"
    """The best crop of each face only, also a crop of each frame that was analysed, or also a video of each track."""
    of_image: Literal["largest", "each"] = "largest"
    """Whether a picture of several people is one item, or one item for each face."""


class Transcript(Settings):
    """Where words come from: the first of ``order`` that has any. Nothing is downloaded; there may be no words."""

    order: Annotated[tuple[TranscriptSource, ...], Field(max_length=3)] = ("subtitles", "whisper", "endpoint")
    whisper_model: str | None = None
    """Folder of a faster-whisper (CTranslate2) model, relative to the recipe."""
    endpoint_model: str | None = None
    """Name of a model behind an OpenAI-compatible address. The sound of each utterance is sent there."""
    language: str | None = Field(None, pattern=r"^[a-z]{2}$")
    """Spoken language (ISO 639-1). Detected from the words by default."""
    align: bool | None = None
    """Align the words of English transcripts with the sound (needs the extra ``alignment``). Otherwise they are spread
    evenly over the speech. By default words are aligned if the extra is installed."""


class Speakers(Settings):
    """How speakers are identified, apart from subtitles and separate channels."""

    file: str | None = None
    """RTTM or CSV file with speaker turns, or a folder with one file for each source; relative to the recipe."""
    cluster: bool = False
    """Cluster the voices of each source if nothing names its speakers; needs the weights of resemblyzer."""
    count: int | None = Field(None, ge=1, le=100)
    """Number of speakers in each source, if known: more reliable than a threshold on the similarity of voices."""


class Quality(Settings):
    """Which measures are taken that cost noticeable time."""

    dnsmos: bool = False
    """Predict listeners' ratings of the sound (DNSMOS P.835). Needs the extra ``dnsmos`` and 0.3 s an item."""


class Filters(Settings):
    """What items must be like. Others become rejections that name the value; unknown values pass."""

    min_snr_db: float | None = None
    min_loudness_lufs: float | None = None
    max_clipping_share: float | None = Field(None, ge=0, le=1)
    max_silence_share: float | None = Field(None, ge=0, le=1)
    min_speech_s: float | None = Field(None, ge=0)
    min_dnsmos_sig: float | None = Field(None, ge=1, le=5)
    min_dnsmos_bak: float | None = Field(None, ge=1, le=5)
    min_dnsmos_ovr: float | None = Field(None, ge=1, le=5)
    min_face_px: float | None = Field(None, ge=0)
    min_sharpness: float | None = Field(None, ge=0)
    min_brightness: float | None = Field(None, ge=0, le=255)
    max_brightness: float | None = Field(None, ge=0, le=255)
    min_chars: int | None = Field(None, ge=0)
    max_chars: int | None = Field(None, ge=1)
    languages: tuple[str, ...] | None = None
    """Items in another language, or whose language is not detected, are rejected."""
    need_face: bool = False
    """Reject items without a face, and those whose face may not be the speaker's."""
    need_text: bool = False
    drop_near_duplicates: bool = False
    """Reject what repeats an earlier source or item, by file name and time, even if it is encoded differently."""


class PreprocessSettings(Settings):
    """All settings of preprocess."""

    unit: CutBy | None = None
    """How sound and video are cut. By default speech, windows or the whole clip, the first that the label schema has
    as a unit."""
    max_pause_s: float = Field(0.3, gt=0, le=10)
    min_speech_s: float = Field(0.25, ge=0, le=60)
    max_utterance_s: float = Field(15.0, ge=1, le=120)
    pad_s: float = Field(0.1, ge=0, le=2)
    speech_threshold: float = Field(0.5, ge=0.2, le=0.95)
    """Lower values also include laughter, crying, whispers and more of talk far from the microphone (0.3 finds .86 of
    it, 0.5 finds .80), but also more noise."""
    window_s: float = Field(0.2, ge=0.02, le=600)
    hop_s: float | None = Field(None, ge=0.02, le=600)
    """From the start of one window to the next; ``window_s`` by default."""
    max_clip_s: float = Field(120.0, ge=1, le=600)
    chunk_s: float = Field(300.0, ge=2, le=7200)
    """Longer files are processed in chunks with about this many seconds of items, by several workers at once."""
    channels: Literal["mix", "separate"] = "mix"
    """``separate`` treats each channel as the voice of one speaker."""
    speakers: Speakers = Speakers()
    posts: SplitPosts = "whole"
    transcript: Transcript = Transcript()
    faces: Faces = Faces()
    quality: Quality = Quality()
    filters: Filters = Filters()


def resolve(folder: Path, setting: str | None) -> Path | None:
    """Return the path that a setting names relative to the recipe's folder, or None if it is not set."""
    return folder / Path(setting).expanduser() if setting else None


def turns_path(raw: RawFolders, setting: str | None) -> Path | None:
    """Return the file or folder with speaker turns that a setting names; None if it is not set."""
    return raw.join(str(Path(setting).expanduser())) if setting else None
