"""Speech to text by a model behind an OpenAI-compatible address."""

import math
from typing import Any, NamedTuple

from curate.errors import ServiceUnavailable
from curate.llm import openai_client


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
    options: dict[str, Any] = {"language": language} if language else {}
    # The newer models of OpenAI give text only; Whisper and the servers that imitate it give times.
    if not model.startswith("gpt-"):
        options |= {"response_format": "verbose_json", "timestamp_granularities": ["word"]}
    answer = openai_client.transcribe(flac, model=model, options=options)
    if not isinstance(getattr(answer, "text", None), str):
        raise ServiceUnavailable(f"the transcription model {model} answers without a text", hint=openai_client.HINT)
    spoken = getattr(answer, "language", None)
    return SpokenText(answer.text, _words(answer), spoken if isinstance(spoken, str) and len(spoken) == 2 else None)


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
