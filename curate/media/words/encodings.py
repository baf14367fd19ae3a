"""Decode text whose encoding is not declared: Unicode, or the legacy encoding whose letters fit the language."""

import codecs
import re
from functools import cache
from typing import NamedTuple
from unicodedata import category

from curate.media.words.language import rank_languages

_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_WESTERN = {
    "fr": "àâæçéèêëîïôœùûüÿ", "de": "äöüßé", "es": "áéíñóúüªº", "pt": "àáâãçéêíóôõúüªº", "it": "àèéìíîòóùú",
    "nl": "àáèéêëïíóöúü", "sv": "äåéöàü", "da": "æøåéöäü", "no": "æøåéòôèöä", "nn": "æøåéòôèöä", "fi": "äåöšžé",
    "is": "áéíóúýþæöð", "fo": "áðíóúýæø", "ca": "àçèéíïòóúü·", "gl": "áéíñóúüï", "eu": "ñçü", "ga": "áéíóú",
    "oc": "àáçèéíïòóúü", "lb": "äéëö", "af": "áèéêëíîïôöúû", "en": "éèêëïçñôöüàâäæœáíóú", "et": "äõöüšž", "sq": "çë",
    "cy": "âêîôûŵŷáéíóúäëïöü", "ms": "é", "id": "é", "eo": "éüö", "la": "æœëáéíóú",
}  # fmt: skip
_CENTRAL = {
    "pl": "ąćęłńóśźż", "cs": "áčďéěíňóřšťúůýž", "sk": "áäčďéíĺľňóôŕšťúýž", "hu": "áéíóöőúüű", "sl": "čšžćđ",
    "hr": "čćđšž", "bs": "čćđšž", "sr": "čćđšž", "ro": "ăâîşţșț", "sq": "çë", "de": "äöüßé",
}  # fmt: skip
_BALTIC = {"lt": "ąčęėįšųūž", "lv": "āčēģīķļņšūžōŗ", "ltg": "āčēģīķļņšūžōŗ", "et": "äõöüšž"}
_TURKISH = {"tr": "âçğıîöşüû", "az": "çğıöşüə"}
_RUSSIAN = "абвгдеёжзийклмнопрстуфхцчшщъыьэюя"
_CYRILLIC = {
    "ru": _RUSSIAN, "uk": "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя", "be": "абвгдеёжзійклмнопрстуўфхцчшыьэюяґ",
    "bg": "абвгдежзийклмнопрстуфхцчшщъьюяѝ", "sr": "абвгдђежзијклљмнњопрстћуфхцчџш",
    "mk": "абвгдѓежзѕијклљмнњопрстќуфхцчџшѐѝ",
}  # fmt: skip


def _letters(first: int, last: int) -> str:
    return "".join(map(chr, range(first, last + 1)))


_ENCODINGS: dict[str, dict[str, str]] = {
    "cp1252": _WESTERN,
    "cp1250": _CENTRAL,
    "cp1257": _BALTIC,
    "cp1254": _TURKISH,
    "cp1251": _CYRILLIC,
    "cp1253": {"el": _letters(0x370, 0x3FF)},
    "cp1255": {"he": _letters(0x591, 0x5F4)},
    "cp1256": dict.fromkeys(("ar", "fa", "ur", "arz", "ary"), _letters(0x60C, 0x6D5) + "\u200c\u200d\u200e\u200f"),
    "cp874": {"th": _letters(0xE01, 0xE5B)},
    "iso8859_2": _CENTRAL,
    "koi8_u": {"ru": _RUSSIAN, "uk": _CYRILLIC["uk"]},
    "cp866": {"ru": _RUSSIAN},
    "mac_roman": _WESTERN,
    "cp850": _WESTERN,
    "cp852": _CENTRAL,
}
"""Single-byte encodings, commonest first, with the languages written in them and their letters beyond ASCII."""
_EAST_ASIAN = ("cp932", "gb18030", "cp949", "big5")
_PUNCTUATION = frozenset("«»‹›„“”‚‘’–—…¿¡°€£§№©®™´•♪\xa0\xad")
_IN_WORDS = frozenset("’‘–—…·\xad")
_FINAL, _LEADING = frozenset("ךםןףץςةىฯๆะ"), frozenset("เแโใไ")
"""Letters that end words, and vowels that begin syllables."""
_CJK = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
SAMPLE_BYTES = 40_000
"""As much is read of the lines that are not ASCII."""
_FOREIGN_SHARE = 0.05
_EAST_ASIAN_SCORE = 0.4
_MIN_SCORE, _MIN_LEAD = 0.1, 2.0


class DecodedText(NamedTuple):
    """A text, and a sentence if its encoding is a guess that may be wrong."""

    text: str
    doubt: str | None = None


class GuessedEncoding(NamedTuple):
    """Python's name of an encoding, and a clause if it is a guess that may be wrong."""

    name: str
    doubt: str | None = None


def decode_text(raw: bytes, *, language: str | None = None) -> DecodedText:
    """Decode bytes in the encoding that ``guess_encoding`` returns."""
    encoding, doubt = guess_encoding(raw, language=language)
    return DecodedText(raw.decode(encoding, "replace"), doubt)


def guess_encoding(raw: bytes, *, language: str | None = None) -> GuessedEncoding:
    """Return the encoding of a text: by BOM, UTF-8 or UTF-16, else the legacy one that makes the likeliest text.

    A legacy encoding fits as far as the text then has no letters, capitals and signs that its language lacks.
    ``language`` (ISO 639-1) is the one to expect.
    """
    if unicode := unicode_encoding(raw):
        return GuessedEncoding(unicode)
    sample = b"\n".join(line for line in raw.splitlines() if not line.isascii())[:SAMPLE_BYTES]
    ranked = sorted(_scores(sample, language).items(), key=lambda entry: -entry[1][1])
    text, (encoding, score) = ranked[0] if ranked else ("", ("cp1252", 0.0))
    rival = ranked[1][1][1] if len(ranked) > 1 else 0.0
    doubt = None
    if score < _MIN_SCORE or score < rival * _MIN_LEAD:
        line = next((line.strip() for line in text.splitlines() if line.strip()), "")[:60]
        doubt = f"is not UTF-8, and its encoding is unclear: read as {encoding}, which makes {line!r}; save it as UTF-8"
    return GuessedEncoding(encoding, doubt)


def unicode_encoding(raw: bytes) -> str | None:
    """Return the encoding of a text if it is UTF-8 or UTF-16, else None."""
    for bom, encoding in _BOMS.items():
        if raw.startswith(bom):
            return encoding
    if len(raw) > 1 and 0 in raw[:2]:
        return "utf-16-be" if raw[0] == 0 else "utf-16-le"
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return "utf-8"


def is_unicode(text: str) -> bool:
    """Return whether a text can be written as UTF-8, that is, has no lone surrogates."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _scores(sample: bytes, language: str | None) -> dict[str, tuple[str, float]]:
    """Each text that the sample may be, with its first encoding and its score (0-1)."""
    scores: dict[str, tuple[str, float]] = {}
    for encoding, alphabets in _ENCODINGS.items():
        text = sample.decode(encoding, "replace")
        if text not in scores or scores[text][1] < _score(text, alphabets, language):
            first = scores[text][0] if text in scores else encoding
            scores[text] = first, _score(text, alphabets, language)
    if (east_asian := _east_asian(sample)) is not None:
        scores[sample.decode(east_asian, "replace")] = east_asian, _EAST_ASIAN_SCORE
    return scores


def _score(text: str, alphabets: dict[str, str], language: str | None) -> float:
    likely = rank_languages(text)
    if language is not None:
        likely = {**{name: share * 0.2 for name, share in likely.items()}, language: 0.8}
    return sum(likely.get(name, 0.0) * _fit(text, letters) for name, letters in alphabets.items())


@cache
def _alphabet(letters: str) -> frozenset[str]:
    return _PUNCTUATION | frozenset(letters + letters.upper() + "İ")


def _fit(text: str, letters: str) -> float:
    """From 1, if the language has all characters beyond ASCII, to 0, if it lacks a twentieth of them."""
    alphabet = _alphabet(letters)
    beyond = foreign = 0
    for before, char, after in zip(" " + text, text, text[1:] + " ", strict=False):
        if char.isascii():
            continue
        beyond += 1
        in_word = before.isalpha() and after.isalpha()
        foreign += 3 * (char == "\ufffd") + (
            char not in alphabet
            or (before.islower() and char.isupper())
            or (in_word and char in _PUNCTUATION and char not in _IN_WORDS)
            or (char in _FINAL and after.isalpha())
            or (char in _LEADING and not after.isalpha())
            or (category(char) in ("Mn", "Nd") and (before.isascii() or category(before) not in ("Lo", "Mn", "Nd")))
        )
    return max(0.0, 1 - foreign / (beyond * _FOREIGN_SHARE)) if beyond else 1.0


def _east_asian(sample: bytes) -> str | None:
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_isolation=[*_EAST_ASIAN, *_ENCODINGS]).best()
    if best is None or best.encoding not in _EAST_ASIAN:
        return None
    letters = [char for char in str(best) if char.isalpha()]
    share = sum(_CJK.match(char) is not None for char in letters) / max(len(letters), 1)
    return best.encoding if share > 0.6 else None
