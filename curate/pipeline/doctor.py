"""What this machine offers: programs, libraries, models and keys."""

import ctypes.util
import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from curate.annotation.local_server.install import installation, is_installed
from curate.errors import MissingDependency
from curate.media.container.ffmpeg import find_ffmpeg
from curate.media.speech.dnsmos import DNSMOS
from curate.media.speech.voices import D_VECTORS
from curate.media.words import alignment
from curate.media.words.whisper import model_problem

_OPENAI = "https://api.openai.com/v1"


class Finding(NamedTuple):
    """A program, package, model or key: ``detail`` says where it is, ``get`` how to get it. Keys are never shown."""

    name: str
    present: bool
    gives: str
    detail: str = ""
    get: str = ""
    needed: bool = False


def examine() -> list[Finding]:
    """Return everything that changes what curate can do on this machine, required things first."""
    return [*_required(), *_optional(), *_keys()]


def _required() -> Iterator[Finding]:
    python = platform.python_version()
    yield Finding("Python", True, "runs curate", python, "install Python 3.11 or newer", needed=True)
    try:
        ffmpeg = str(find_ffmpeg())
        origin = "bundled: " if "imageio_ffmpeg" in ffmpeg else ""
        yield Finding("ffmpeg", True, "viewing copies of clips", f"{origin}{ffmpeg}", needed=True)
    except MissingDependency as error:
        yield Finding("ffmpeg", False, "viewing copies of clips", "", error.hint or "", needed=True)
    for package, gives in (
        ("av", "decoding"),
        ("onnxruntime", "speech and face models"),
        ("py3langid", "which language a text is in"),
        ("deltalake", "tables"),
        ("datasets", "loading releases"),
        ("httpx", "talking to Label Studio"),
        ("huggingface-hub", "publishing"),
    ):
        try:
            yield Finding(package, True, gives, version_of(package), needed=True)
        except PackageNotFoundError:
            yield Finding(package, False, gives, "", f"pip install {package}", needed=True)


def _optional() -> Iterator[Finding]:
    folder = str(installation())
    yield Finding("Label Studio", is_installed(), "correction by people", folder, "curate annotate up installs it")
    gl = ctypes.util.find_library("GL")
    yield Finding(
        "libGL", gl is not None, "cv2, for InsightFace packs", gl or "", "apt-get install libgl1 libglib2.0-0"
    )
    packs = Path("~/.insightface/models").expanduser()
    names = sorted(path.name for path in packs.iterdir() if path.is_dir()) if packs.is_dir() else []
    hint = "put a pack's *.onnx files into a folder and set faces: {model_pack: FOLDER} (non-commercial research only)"
    yield Finding("InsightFace packs", bool(names), "other face detectors", f"{packs}: {', '.join(names)}", hint)
    models = [str(path) for path in _whisper_models()]
    hint = (
        "download a CTranslate2 model such as Systran/faster-whisper-small and set transcript: {whisper_model: FOLDER}"
    )
    yield Finding("Whisper model", bool(models), "transcripts where there are no subtitles", ", ".join(models), hint)
    for package, gives, use, install in (
        (
            "label_studio_sdk",
            "checks of pre-labels against the form before they are sent",
            "curate annotate push",
            "pip install label-studio-sdk (on Python 3.11 to 3.13: it has no wheels for later ones)",
        ),
        (
            "faster_whisper",
            "transcripts with a Whisper model of yours",
            "preprocess: transcript: {whisper_model: FOLDER}",
            "pip install 'curate[whisper]'",
        ),
        (
            "insightface",
            "face detectors and recognition from model packs",
            "preprocess: faces: {model_pack: FOLDER}",
            "pip install 'curate[insightface]'",
        ),
        ("ray", "work on many machines", "curate run --executor ray", "pip install 'curate[ray]'"),
        ("s3fs", "workspaces at s3:// URLs", "curate run -w s3://bucket/folder", "pip install 'curate[s3]'"),
        ("resemblyzer", "speaker clustering", "preprocess: speakers: {cluster: true}", D_VECTORS.install),
        (
            "pocketsphinx",
            "the times of English words",
            "preprocess: transcript: {align: true}",
            alignment.how_to_install(),
        ),
        ("speechmos", "ratings of how speech sounds", "preprocess: quality: {dnsmos: true}", DNSMOS.install),
    ):
        yield Finding(package, find_spec(package) is not None, gives, use, install or "")
    torch = find_spec("torchcodec") is not None
    yield Finding(
        "torchcodec", torch, "datasets decodes released audio itself", "", "pip install torch 'torchcodec<0.14'"
    )


def _whisper_models() -> Iterator[Path]:
    """Yield the complete faster-whisper models in the cache of the Hugging Face Hub."""
    cache = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser() / "hub"
    for path in sorted(cache.glob("models--*whisper*/snapshots/*")):
        if model_problem(path) is None:
            yield path


def _keys() -> Iterator[Finding]:
    key = bool(os.environ.get("OPENAI_API_KEY"))
    hint = "export OPENAI_API_KEY=… (any text, for a server that needs no key)"
    yield Finding("OPENAI_API_KEY", key, "labels proposed by models behind a service", "set", hint)
    address = _address()
    hint = f"export OPENAI_BASE_URL=http://… or https://…, or unset it for {_OPENAI}"
    yield Finding("models' address", bool(address), "the address of that service (OPENAI_BASE_URL)", address, hint)
    token = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser() / "token"
    hub = bool(os.environ.get("HF_TOKEN")) or token.is_file()
    yield Finding("Hugging Face token", hub, "publishing", "set", "set HF_TOKEN, or run `hf auth login`")
    for name, gives in (("LABEL_STUDIO_URL", "an existing Label Studio"), ("LABEL_STUDIO_API_KEY", "its key")):
        yield Finding(name, bool(os.environ.get(name)), gives, "set", f"export {name}=…")


def _address() -> str:
    """Return the address of the model service without name and password; empty if it is not valid."""
    try:
        parts = urlsplit(os.environ.get("OPENAI_BASE_URL", _OPENAI))
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}" if is_valid else ""
