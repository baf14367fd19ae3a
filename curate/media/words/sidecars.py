"""The subtitle files beside a media file, and the language that each is in by its name."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

SUFFIXES = (".srt", ".vtt", ".ass", ".ssa")
_MEDIA_SUFFIXES = (
    ".3gp .aac .aif .aiff .avi .flac .flv .m2ts .m4a .m4v .mka .mkv .mov .mp3 .mp4 .mpeg .mpg .mts .mxf .oga .ogg .ogv "
    ".opus .ts .wav .webm .wma .wmv"
)
_LANGUAGE_NAMES = (
    "en eng english|de deu ger german deutsch|fr fra fre french francais|es spa spanish espanol castellano|"
    "it ita italian italiano|pt por portuguese portugues|nl nld dut dutch nederlands|sv swe swedish svenska|"
    "da dan danish dansk|no nor nb nob nn nno norwegian norsk|fi fin finnish suomi|is isl ice icelandic|"
    "pl pol polish polski|cs ces cze czech|sk slk slo slovak|hu hun hungarian magyar|ro ron rum romanian|"
    "sl slv slovenian|hr hrv croatian|sr srp serbian|bs bos bosnian|mk mkd mac macedonian|bg bul bulgarian|"
    "ru rus russian|uk ukr ukrainian|be bel belarusian|et est estonian|lv lav latvian|lt lit lithuanian|"
    "el ell gre greek|tr tur turkish|ar ara arabic|he heb iw hebrew|fa fas per persian farsi|hi hin hindi|"
    "bn ben bengali|ta tam tamil|te tel telugu|ur urd urdu|th tha thai|vi vie vietnamese|id ind indonesian|"
    "ms msa may malay|tl tgl fil filipino|zh zho chi chinese cmn yue chs cht|ja jpn japanese|ko kor korean|"
    "ca cat catalan|eu eus baq basque|gl glg galician|ga gle irish|cy cym wel welsh|sq sqi alb albanian|"
    "ka kat geo georgian|hy hye arm armenian|az aze|kk kaz|uz uzb|mn mon|sw swa swahili|af afr|eo epo|la lat"
)
_MEDIA = frozenset(_MEDIA_SUFFIXES.split())
_LANGUAGES = {name: names.split()[0] for names in _LANGUAGE_NAMES.split("|") for name in names.split()}
_FLAGS = {"default": 0, "full": 0, "orig": 0, "original": 0, "auto": 1, "cc": 1, "sdh": 2, "hi": 2, "forced": 3}
"""What else a name may say, and how far behind such a file comes; ``hi`` for the hearing impaired only after a
language."""


class Sidecar(NamedTuple):
    """A subtitle file, and the language (ISO 639-1) that its name says it is in."""

    path: Path
    language: str | None


def find_sidecars(media: Path) -> list[Sidecar]:
    """Return the subtitle files of a media file, best first: ``stem.srt``, then ``stem.<language>.<flags>.srt``.

    Flags are ``sdh``, ``cc``, ``hi``, ``forced`` and the like. A file that another media file has the stem of is that
    one's.
    """
    try:
        names = sorted(path.name for path in media.parent.iterdir() if path.name.startswith(media.stem + "."))
    except OSError:
        return []
    other_stems = {Path(name).stem for name in names if Path(name).suffix.lower() in _MEDIA} - {media.stem}
    ranked: list[tuple[tuple[int, bool, int, str], Sidecar]] = []
    for name in names:
        stem, suffix = name[: -len(Path(name).suffix)], Path(name).suffix.lower()
        if suffix not in SUFFIXES or not (media.parent / name).is_file():
            continue
        tags = "" if name.startswith(media.name + ".") else stem[len(media.stem) :]
        described = _describe(tags)
        if described is None or (tags and stem in other_stems):
            continue
        language, rank = described
        key = rank, bool(tags), SUFFIXES.index(suffix), name
        ranked.append((key, Sidecar(media.parent / name, language)))
    return [sidecar for _, sidecar in sorted(ranked, key=lambda entry: entry[0])]


def choose_sidecar(languages: Sequence[str | None], wanted: str | None) -> int | None:
    """Return the index of the subtitles to use, given their languages, best first; None if all are in another one.

    Without a wanted language the first; else the first in it, or the first whose name has no language.
    """
    if wanted is None:
        return 0 if languages else None
    order = (wanted, None)
    return next((languages.index(name) for name in order if name in languages), None)


def _describe(tags: str) -> tuple[str | None, int] | None:
    """Return language and rank of a file from what its name has between stem and suffix; None if that is unknown."""
    language, rank = None, 0
    for tag in tags.lower().split(".")[1:]:
        base = re.split(r"[-_ (\[]", tag)[0]
        if base in _LANGUAGES and language is None:
            language = _LANGUAGES[base]
            rank = max([rank, *(_FLAGS.get(part, 0) for part in re.split(r"[-_ ()\[\]]", tag)[1:])])
        elif base in _FLAGS:
            rank = max(rank, _FLAGS[base])
        else:
            return None
    return language, rank
