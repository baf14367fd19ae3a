"""Speech to text by a model behind an OpenAI-compatible address."""

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

from curate.errors import ServiceUnavailable
from curate.files import sha256_of
from curate.llm.replies import ReplyStore, StoredReply, kept_headers, now, put_reply
from curate.llm.transport import client as openai_client


class Transcription(NamedTuple):
    """What a model heard; ``words`` with seconds from the start of the sound, empty where it gives no times."""

    text: str
    words: tuple[tuple[str, float, float], ...] = ()
    language: str | None = None


def transcribe(flac: bytes, *, model: str, language: str | None, answers: Path | None = None) -> Transcription:
    """What a model hears in a FLAC file; address and key come from the environment, as the SDK reads them.

    Replies are kept in ``answers``, where its folder is on this machine, and are not asked for again. Raises
    ``MissingDependency`` without a key, ``ServiceUnavailable`` where the server does not answer, ``ServiceRefused``
    where it does not take the key or know the model, ``InvalidRow`` where it cannot use this sound.
    """
    options: dict[str, Any] = {"language": language} if language else {}
    # The newer models of OpenAI give text only; Whisper and the servers that imitate it give times.
    if not model.startswith("gpt-"):
        options |= {"response_format": "verbose_json", "timestamp_granularities": ["word"]}
    if answers is None or not answers.parent.is_dir():
        return _spoken(openai_client.transcribe(flac, model=model, options=options).body, model)
    content = _hash("transcription", sha256_of(flac), options)
    key = _hash(model, content)
    with ReplyStore(answers) as store:
        if (known := store.find(key)) is not None:
            return _spoken(known.reply, model)
        received = openai_client.transcribe(flac, model=model, options=options)
        spoken = _spoken(received.body, model)
        answer = StoredReply(
            key=key,
            content_key=content,
            endpoint=received.url,
            model=model,
            answered_by=None,
            request_id=received.headers.get("x-request-id"),
            created_at=now(),
            seconds=received.seconds,
            status=received.status,
            fault=None,
            reply=received.body.decode("utf-8", "replace"),
            headers=kept_headers(received.headers),
            tokens_in=0,
            tokens_out=0,
            tokens_cached=0,
            estimated=True,
            usd=None,
        )
        store.commit_now([put_reply(answer)])
    return spoken


def _spoken(body: str | bytes, model: str) -> Transcription:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ServiceUnavailable(
            f"the transcription model {model} answers with what is no JSON", hint=openai_client.HINT
        ) from error
    if not isinstance(answer, dict) or not isinstance(answer.get("text"), str):
        raise ServiceUnavailable(f"the transcription model {model} answers without a text", hint=openai_client.HINT)
    spoken = answer.get("language")
    language = spoken if isinstance(spoken, str) and len(spoken) == 2 else None
    return Transcription(answer["text"], _words(answer.get("words")), language)


def _words(words: Any) -> tuple[tuple[str, float, float], ...]:
    found = []
    for word in words if isinstance(words, list) else ():
        text, start_s, end_s = (word.get(name) if isinstance(word, dict) else None for name in ("word", "start", "end"))
        if not isinstance(text, str) or not all(
            isinstance(t, int | float) and math.isfinite(t) for t in (start_s, end_s)
        ):
            return ()
        found.append((text, float(start_s or 0.0), float(end_s or 0.0)))
    return tuple(found)


def _hash(*parts: Any) -> str:
    return sha256_of(json.dumps(parts, sort_keys=True))
