"""The only module that touches openai: speech to text by a model behind an OpenAI-compatible address."""

import functools
import math
from typing import Any, NamedTuple

from curate.errors import InvalidRow, MissingDependency, ServiceRefused, ServiceUnavailable

_TIMEOUT_S = 120.0
_HINT = "set OPENAI_API_KEY, and OPENAI_BASE_URL for a server other than OpenAI's (any key will do for one without)"


class SpokenText(NamedTuple):
    """What a model heard; ``words`` with seconds from the start of the sound, empty where it gives no times."""

    text: str
    words: tuple[tuple[str, float, float], ...] = ()
    language: str | None = None


def transcribe(flac: bytes, *, model: str, language: str | None) -> SpokenText:
    """What a model hears in a FLAC file; address and key come from the environment, as the SDK reads them.

    Raises ``MissingDependency`` without a key, ``ServiceUnavailable`` where the server does not answer,
    ``ServiceRefused`` where it does not take the key or know the model, ``InvalidRow`` where it cannot use this sound.
    """
    import openai

    options: dict[str, Any] = {"language": language} if language else {}
    # The newer models of OpenAI give text only; Whisper and the servers that imitate it give times.
    if not model.startswith("gpt-"):
        options |= {"response_format": "verbose_json", "timestamp_granularities": ["word"]}
    try:
        answer = _client().audio.transcriptions.create(file=("speech.flac", flac), model=model, **options)
    except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as error:
        raise ServiceRefused(f"the transcription model {model} is refused: {_reason(error)}", hint=_HINT) from error
    except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
        raise InvalidRow(
            f"the transcription model {model} cannot use it: {_reason(error)}", reason="invalid"
        ) from error
    except (openai.APIError, ValueError) as error:
        raise ServiceUnavailable(
            f"the transcription model {model} does not answer: {_reason(error)}",
            hint="run the same command again later",
        ) from error
    if not isinstance(getattr(answer, "text", None), str):
        raise ServiceUnavailable(f"the transcription model {model} answers without a text", hint=_HINT)
    spoken = getattr(answer, "language", None)
    return SpokenText(answer.text, _words(answer), spoken if isinstance(spoken, str) and len(spoken) == 2 else None)


@functools.cache
def _client() -> Any:
    import openai

    try:
        return openai.OpenAI(timeout=_TIMEOUT_S)
    except openai.OpenAIError as error:
        raise MissingDependency("there is no key for the transcription model", hint=_HINT) from error


def _words(answer: Any) -> tuple[tuple[str, float, float], ...]:
    found = []
    for word in getattr(answer, "words", None) or ():
        text, start_s, end_s = (getattr(word, name, None) for name in ("word", "start", "end"))
        if not isinstance(text, str) or not all(
            isinstance(t, int | float) and math.isfinite(t) for t in (start_s, end_s)
        ):
            return ()
        found.append((text, float(start_s or 0.0), float(end_s or 0.0)))
    return tuple(found)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
