"""Speech to text by a model behind an OpenAI-compatible endpoint."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from curate.errors import ServiceUnavailable
from curate.files import sha256_of
from curate.llm.completion import TokenUsage
from curate.llm.replies import ReplyStore, put_reply
from curate.llm.transport import client as openai_client
from curate.llm.transport.attempt import PaidReply, to_stored_reply

_MAX_TIME_S = 1e9


class Transcription(NamedTuple):
    """What a model heard. ``words`` are (word, start, end) in seconds from the start; empty without timestamps."""

    text: str
    words: tuple[tuple[str, float, float], ...] = ()
    language: str | None = None


def transcribe(flac: bytes, *, model: str, language: str | None, answers: Path | None = None) -> Transcription:
    """Transcribe a FLAC file; endpoint and key come from the environment, as the SDK reads them.

    Replies are kept in the store ``answers`` if its folder is on this machine, and are not requested again. This is
    called from worker processes of ``preprocess``: services charge for transcription by duration and report no tokens,
    so its cost is in no budget account, and the stored reply has no price.

    Raises ``MissingDependency`` without a key, ``ServiceUnavailable`` if the service does not answer,
    ``ServiceRefused`` if it rejects the key or does not know the model, ``InvalidRow`` if it cannot use this sound.
    """
    options: dict[str, Any] = {"language": language} if language else {}
    # The newer models of OpenAI return text only; Whisper and compatible servers return timestamps.
    if not model.startswith("gpt-"):
        options |= {"response_format": "verbose_json", "timestamp_granularities": ["word"]}
    if answers is None or not answers.parent.is_dir():
        return _read(openai_client.transcribe(flac, model=model, options=options).body, model)
    content_key = _key("transcription", sha256_of(flac), options)
    key = _key(model, content_key)
    with ReplyStore(answers) as store:
        if (stored := store.find(key)) is not None:
            return _read(stored.reply, model)
        reply = openai_client.transcribe(flac, model=model, options=options)
        transcription = _read(reply.body, model)
        unpriced = PaidReply(reply, None, None, TokenUsage(0, 0), None, is_estimated=True)
        stored = to_stored_reply(key, content_key, model, unpriced)
        store.commit_now([put_reply(stored._replace(reply=reply.body.decode("utf-8", "replace")))])
    return transcription


def _read(body: str | bytes, model: str) -> Transcription:
    try:
        page = json.loads(body)
    except (ValueError, RecursionError) as error:
        message = f"the transcription model {model} answers with invalid JSON"
        raise ServiceUnavailable(message, hint=openai_client.HINT) from error
    if not isinstance(page, dict) or not isinstance(page.get("text"), str):
        raise ServiceUnavailable(f"the transcription model {model} answers without a text", hint=openai_client.HINT)
    code = page.get("language")
    language = code if isinstance(code, str) and len(code) == 2 else None
    return Transcription(page["text"], _read_words(page.get("words")), language)


def _read_words(words: Any) -> tuple[tuple[str, float, float], ...]:
    timed = []
    for word in words if isinstance(words, list) else ():
        text, start_s, end_s = (word.get(name) if isinstance(word, dict) else None for name in ("word", "start", "end"))
        if not isinstance(text, str) or not all(
            isinstance(time_s, int | float) and abs(time_s) < _MAX_TIME_S for time_s in (start_s, end_s)
        ):
            return ()
        timed.append((text, float(start_s or 0.0), float(end_s or 0.0)))
    return tuple(timed)


def _key(*parts: Any) -> str:
    return sha256_of(json.dumps(parts, sort_keys=True))
