"""Requests to chat models: messages, media and parameters, and the key under which the reply is stored."""

import base64
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import PurePosixPath
from typing import Any, Literal, NamedTuple

from curate.files import sha256_of

_MIME = {"jpg": "image/jpeg", "jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp", "gif": "image/gif"}
_JPEG_QUALITY = 90
_LIMITS = ("max_completion_tokens", "max_tokens")
_MAX_CACHED_SCHEMAS = 64
_FORM = 1
"""Raised by hand when the same request is sent in another form, such as pictures in another quality."""

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


class _CachedSchema(NamedTuple):
    schema: Mapping[str, Any]
    sha256: str
    chars: int


_schema_cache: dict[int, _CachedSchema] = {}


class MediaPart(NamedTuple):
    """A picture, sound or clip of a message, identified by its blob, whose name holds its SHA-256."""

    blob: str
    kind: Literal["image", "audio", "video"]
    detail: str = "auto"
    """The resolution at which a model reads a picture: low, high or auto"""
    side_px: int | None = None
    """The longer side of a picture as sent; larger pictures are scaled down"""
    seconds: float | None = None
    """The length of a sound or clip, for estimates; not part of the key"""
    time_s: float | None = None
    """When a picture was taken, from the start of the item, for prompts that say so; not part of the key"""


MessagePart = str | MediaPart


class Message(NamedTuple):
    """One message: its role, and its text and media in order."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[MessagePart, ...]


@dataclass(frozen=True, eq=False)
class Request:
    """A request to a chat model. ``parameters`` are passed on unchanged; mappings must not be modified.

    Requests are equal if their ``key`` is: the SHA-256 of everything that decides the reply, with media by the hash of
    their bytes. The endpoint is not part of it.
    """

    model: str
    messages: tuple[Message, ...]
    schema: Mapping[str, Any] | None = None
    schema_name: str = "labels"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    sample: int = 0
    """Number of the sample, from 0, if the same request is sent repeatedly; added to a ``seed``"""
    thinking_tokens: int = 0
    """Added to the limit for a model that thinks; not part of the key: a whole reply is the same with a higher limit"""

    @cached_property
    def key(self) -> str:
        """The identity of this request, 64 hexadecimal digits."""
        return sha256_of(f"{self.model}\n{self.content_key}")

    @cached_property
    def content_key(self) -> str:
        """The same without the model, to find what any model replied."""
        messages = [_message_key(message) for message in self.messages]
        schema = None if self.schema is None else _cached(self.schema).sha256
        text = _encode([_FORM, messages, self.schema_name, schema, dict(self.parameters), self.sample])
        return sha256_of(text)

    @property
    def max_tokens_out(self) -> int | None:
        """The limit on the reply that the parameters set, if any."""
        for name in _LIMITS:
            if isinstance(limit := self.parameters.get(name), int) and limit > 0:
                return limit + self.thinking_tokens
        return None

    def with_limit(self, tokens: int) -> "Request":
        """Return the same request with another limit on the reply, with the same share of it for thinking."""
        name = next((name for name in _LIMITS if name in self.parameters), _LIMITS[0])
        limit = self.max_tokens_out
        thinking = round(tokens * self.thinking_tokens / limit) if limit else 0
        return replace(self, parameters={**self.parameters, name: tokens - thinking}, thinking_tokens=thinking)

    def with_correction(self, answer: str, problem: str) -> "Request":
        """Return a request that shows the model its answer and the problem with it."""
        correction = f"That answer cannot be used: {problem}. Answer again, in full, in the same form."
        messages = (*self.messages, Message("assistant", (answer,)), Message("user", (correction,)))
        return replace(self, messages=messages)

    @property
    def schema_chars(self) -> int:
        """The length of the schema as sent; it counts as input."""
        return 0 if self.schema is None else _cached(self.schema).chars

    @property
    def media(self) -> tuple[MediaPart, ...]:
        """All pictures and sounds, in order."""
        return tuple(part for message in self.messages for part in message.parts if isinstance(part, MediaPart))

    def body(self, read: Callable[[str], bytes]) -> dict[str, Any]:
        """Return what is posted to ``/chat/completions``. Slow with media: they are read, scaled and encoded.

        Raises ``StorageFailed`` if a blob is missing and ``ValueError`` if a picture cannot be read.
        """
        messages = [{"role": message.role, "content": _content(message.parts, read)} for message in self.messages]
        body: dict[str, Any] = {"model": self.model, "messages": messages, **self.parameters}
        if self.sample and isinstance(seed := self.parameters.get("seed"), int):
            body["seed"] = seed + self.sample
        if self.thinking_tokens:
            body |= {name: self.max_tokens_out for name in _LIMITS if name in self.parameters}
        if self.schema is not None:
            json_schema = {"name": self.schema_name, "strict": True, "schema": self.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": json_schema}
        return body

    def payload(self, read: Callable[[str], bytes]) -> bytes:
        """Return the body as bytes; lone surrogates, which UTF-8 cannot encode, become ``?``."""
        text = json.dumps(self.body(read), ensure_ascii=False, separators=(",", ":"), default=dict)
        return text.encode("utf-8", "replace")


def _content(parts: tuple[MessagePart, ...], read: Callable[[str], bytes]) -> str | list[dict[str, Any]]:
    texts = [part for part in parts if isinstance(part, str)]
    if len(texts) == len(parts):
        # Many servers for text models do not accept a list of parts.
        return "".join(texts)
    return [{"type": "text", "text": part} if isinstance(part, str) else _media_part(part, read) for part in parts]


def _media_part(media: MediaPart, read: Callable[[str], bytes]) -> dict[str, Any]:
    data, suffix = read(media.blob), PurePosixPath(media.blob).suffix.lstrip(".")
    if media.kind == "audio":
        return {"type": "input_audio", "input_audio": {"data": _base64(data), "format": suffix}}
    if media.kind == "video":
        # Not in OpenAI's own reference: what vLLM, SGLang, OpenRouter and Qwen's service take.
        return {"type": "video_url", "video_url": {"url": f"data:video/{suffix};base64,{_base64(data)}"}}
    if media.side_px is not None:
        data, suffix = _scale_down(data, suffix, media.side_px)
    mime = _MIME.get(suffix, f"image/{suffix}")
    return {"type": "image_url", "image_url": {"url": f"data:{mime};base64,{_base64(data)}", "detail": media.detail}}


def _scale_down(data: bytes, suffix: str, side_px: int) -> tuple[bytes, str]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as picture:
            if max(picture.size) <= side_px:
                return data, suffix
            picture.draft("RGB", (side_px, side_px))
            scaled = picture.convert("RGB")
        scaled.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"the picture cannot be read: {error}") from error
    buffer = io.BytesIO()
    scaled.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue(), "jpg"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _message_key(message: Message) -> list[Any]:
    # The system message is the same for every item, and longer than the rest.
    hash_of = _cached_sha256 if message.role == "system" else sha256_of
    return [message.role, [hash_of(part) if isinstance(part, str) else _media_key(part) for part in message.parts]]


_cached_sha256 = lru_cache(maxsize=64)(sha256_of)


def _media_key(media: MediaPart) -> list[Any]:
    name = PurePosixPath(media.blob)
    return [name.stem, name.suffix, media.kind, media.detail, media.side_px]


def _cached(schema: Mapping[str, Any]) -> _CachedSchema:
    # All requests of a stage share one schema, which is far longer than the text to label.
    cached = _schema_cache.get(id(schema))
    if cached is None or cached.schema is not schema:
        if len(_schema_cache) >= _MAX_CACHED_SCHEMAS:
            _schema_cache.clear()
        # Unsorted: a model writes its reply in the order of the schema.
        text = json.dumps(dict(schema), separators=(",", ":"), ensure_ascii=False)
        cached = _CachedSchema(schema, sha256_of(text), len(text))
        _schema_cache[id(schema)] = cached
    return cached
