"""Settings of preprocess, by topic."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from curate.corpus.sources import RawFolders

CutBy = Literal["speech", "window", "shot", "cue", "clip"]
ItemsFrom = CutBy | Literal["marked"]
"""How the items of a source come about: cut in some way, or as stretches that a table names"""
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
    """Faces whose box is smaller, in pixels of its longer side, are ignored."""
    every: int = Field(5, ge=1, le=1000)
    """Look for faces in every n-th frame."""
    size_px: int = Field(256, ge=32, le=1024)
    """Width and height of the aligned crops."""
    keep: Literal["best", "frames", "video"] = "best"
    """The best crop of each face only, also a crop of each frame that was analysed, or also a video of each track."""
    of_image: Literal["largest", "each"] = "largest"
    """Whether a picture of several people is one item, or one item for each face."""


class Transcript(Settings):
    """Where words come from: the first of ``order`` that has any. Nothing is downloaded; there may be no words."""

    order: Annotated[tuple[TranscriptSource, ...], Field(max_length=3)] = ("subtitles", "whisper", "endpoint")
    """Where words are looked for, in this order."""
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
    """Speech over the noise of the pauses in and around an item."""
    min_loudness_lufs: float | None = None
    """Integrated loudness (ITU-R BS.1770-4)."""
    max_clipping_share: float | None = Field(None, ge=0, le=1)
    """Share of samples at full scale."""
    max_silence_share: float | None = Field(None, ge=0, le=1)
    """Share of 32 ms windows below -50 dBFS."""
    min_speech_s: float | None = Field(None, ge=0)
    """Seconds of speech in an item."""
    min_dnsmos_sig: float | None = Field(None, ge=1, le=5)
    """How the voice sounds (DNSMOS P.835); needs ``quality: {dnsmos: true}``."""
    min_dnsmos_bak: float | None = Field(None, ge=1, le=5)
    """How little the background disturbs (DNSMOS P.835)."""
    min_dnsmos_ovr: float | None = Field(None, ge=1, le=5)
    """How the sound is all in all (DNSMOS P.835)."""
    min_face_px: float | None = Field(None, ge=0)
    """Longer side of the face's box, the median over its track."""
    min_sharpness: float | None = Field(None, ge=0)
    """Variance of the Laplacian of the face crop."""
    min_brightness: float | None = Field(None, ge=0, le=255)
    """Mean luma of the face crop."""
    max_brightness: float | None = Field(None, ge=0, le=255)
    """Mean luma of the face crop."""
    min_chars: int | None = Field(None, ge=0)
    """Length of the text."""
    max_chars: int | None = Field(None, ge=1)
    """Length of the text."""
    languages: tuple[str, ...] | None = None
    """Items in another language, or whose language is not detected, are rejected."""
    need_face: bool = False
    """Reject items without a face, and those whose face may not be the speaker's."""
    need_text: bool = False
    """Reject items without words."""
    drop_near_duplicates: bool = False
    """Reject what repeats an earlier source or item, by file name and time, even if it is encoded differently."""


class PreprocessSettings(Settings):
    """All settings of preprocess."""

    unit: CutBy | None = None
    """How sound and video are cut. By default speech, windows or the whole clip, the first that the label schema has
    as a unit. Recordings of which a table names stretches (``item: {start_s: …, end_s: …}``) are cut there."""
    max_pause_s: float = Field(0.3, gt=0, le=10)
    """Shorter pauses stay inside an utterance."""
    min_speech_s: float = Field(0.25, ge=0, le=60)
    """Shorter stretches of speech are no utterance."""
    max_utterance_s: float = Field(15.0, ge=1, le=120)
    """Longer utterances are split where they are least like speech."""
    pad_s: float = Field(0.1, ge=0, le=2)
    """Each utterance is widened by this at both ends, at most to the middle of the gap to its neighbour."""
    speech_threshold: float = Field(0.5, ge=0.2, le=0.95)
    """Lower values also include laughter, crying, whispers and more of talk far from the microphone (0.3 finds .86 of
    it, 0.5 finds .80), but also more noise."""
    window_s: float = Field(0.2, ge=0.02, le=600)
    """Length of a window, if sound is cut into windows."""
    hop_s: float | None = Field(None, ge=0.02, le=600)
    """From the start of one window to the next; ``window_s`` by default."""
    max_clip_s: float = Field(120.0, ge=1, le=7200)
    """Longer files are rejected if whole clips are the items."""
    chunk_s: float = Field(300.0, ge=2, le=7200)
    """Longer files are processed in chunks with about this many seconds of items, by several workers at once."""
    channels: Literal["mix", "separate"] = "mix"
    """``separate`` treats each channel as the voice of one speaker."""
    speakers: Speakers = Speakers()
    posts: SplitPosts = "whole"
    """Whether a post is one item, or one for each of its sentences, or one for each turn of its dialogue."""
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
