"""Settings of preprocess, by what they are about."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Unit = Literal["speech", "window", "shot", "cue", "clip"]
Source = Literal["subtitles", "whisper", "endpoint"]


class Settings(BaseModel):
    """A group of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Faces(Settings):
    """How faces are found, cut and kept."""

    model_pack: str | None = None
    """Folder of an InsightFace model pack, relative to the recipe; the embedded CenterFace where there is none."""
    min_face_px: int = Field(40, ge=8, le=4096)
    every: int = Field(5, ge=1, le=1000)
    """Looks at every so-many-th frame."""
    size_px: int = Field(256, ge=32, le=1024)
    keep: Literal["best", "frames", "video"] = "best"
    """The best crop of each face only, also a crop of every frame looked at, or also a video of each track."""
    of_image: Literal["largest", "each"] = "largest"
    """Whether a picture of several people is one item or one for each face."""


class Transcript(Settings):
    """Where the words come from: the first of ``order`` that has any. Nothing is downloaded; without any, none."""

    order: Annotated[tuple[Source, ...], Field(max_length=3)] = ("subtitles", "whisper", "endpoint")
    whisper_model: str | None = None
    """Folder of a faster-whisper (CTranslate2) model, relative to the recipe."""
    endpoint_model: str | None = None
    """Name of a model behind an OpenAI-compatible address; the sound of each utterance is sent there."""
    language: str | None = Field(None, pattern=r"^[a-z]{2}$")
    """Spoken language (ISO 639-1); told from the words where it is not given."""
    align: bool | None = None
    """Align the words of English transcripts with the sound (needs the extra ``alignment``); else they are spread over
    the speech. By default words are aligned where the extra is installed."""


class Speakers(Settings):
    """How it is told who speaks, besides subtitles and separate channels."""

    file: str | None = None
    """RTTM or CSV file that tells who speaks when, or a folder with one for each source; relative to the recipe."""
    cluster: bool = False
    """Tell the voices of each source apart where nothing names them; needs the weights of resemblyzer."""
    count: int | None = Field(None, ge=1, le=100)
    """How many people speak in each source, where that is known: surer than to go by how unlike voices are."""


class Quality(Settings):
    """What is measured besides what costs next to nothing."""

    dnsmos: bool = False
    """Rate sound as people would (DNSMOS P.835); needs the extra ``dnsmos``, and a third of a second an item."""


class Filters(Settings):
    """What an item must be like. One that is not becomes a rejection that tells the value; unknown values pass."""

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
    """Items in another language, or in none that can be told, are rejected."""
    need_face: bool = False
    """Items without a face are rejected, and those where it is uncertain whether the face is the speaker's."""
    need_text: bool = False
    drop_near_duplicates: bool = False
    """Rejects what repeats an earlier source or item, by file name and time, even if encoded otherwise."""
