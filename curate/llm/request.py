"""What is asked of a chat model: messages, media and parameters, and the key that names the whole."""

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
_SCHEMAS_KEPT = 64
_FORM = 1
"""Raised by hand when the same request would be sent in another form, a picture in another quality for example."""

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


class _KnownSchema(NamedTuple):
    schema: Mapping[str, Any]
    sha256: str
    chars: int


_known_schemas: dict[int, _KnownSchema] = {}


class MediaPart(NamedTuple):
    """One picture or sound of a message, named by the blob it is stored as: that name holds its SHA-256."""

    blob: str
    kind: Literal["image", "audio"]
    detail: str = "auto"
    """How closely a model is to look at a picture: low, high or auto"""
    side_px: int | None = None
    """A picture's longer side as it is sent; a larger one is shrunk to it"""
    seconds: float | None = None
    """How long a sound is, for estimates; no part of the key"""


MessagePart = str | MediaPart


class Message(NamedTuple):
    """One turn: who says it, and its text and media in order."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[MessagePart, ...]


@dataclass(frozen=True, eq=False)
class Request:
    """One question to a chat model. ``parameters`` are passed on as given; what a mapping holds is never changed.

    Two requests are the same when their ``key`` is: the SHA-256 of everything that decides the reply, media by the hash
    of their bytes. The address that is asked is no part of it.
    """

    model: str
    messages: tuple[Message, ...]
    schema: Mapping[str, Any] | None = None
    schema_name: str = "labels"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    sample: int = 0
    """Which of several independent answers to the same question, from 0; moves a ``seed`` on by as much"""

    @cached_property
    def key(self) -> str:
        """The name of this request, 64 hexadecimal digits."""
        return sha256_of(f"{self.model}\n{self.content_key}")

    @cached_property
    def content_key(self) -> str:
        """The same without the model, for finding what any model once replied."""
        messages = [_message_key(message) for message in self.messages]
        schema = None if self.schema is None else _known(self.schema).sha256
        text = _encode([_FORM, messages, self.schema_name, schema, dict(self.parameters), self.sample])
        return sha256_of(text)

    @property
    def max_tokens_out(self) -> int | None:
        """The limit that the parameters set to the reply, where they set one."""
        for name in _LIMITS:
            if isinstance(limit := self.parameters.get(name), int) and limit > 0:
                return limit
        return None

    def with_limit(self, tokens: int) -> "Request":
        """The same question with room for a reply of so many tokens."""
        name = next((name for name in _LIMITS if name in self.parameters), _LIMITS[0])
        return replace(self, parameters={**self.parameters, name: tokens})

    def corrected(self, answer: str, problem: str) -> "Request":
        """The question that shows a model its answer and what is wrong with it."""
        again = f"That answer cannot be used: {problem}. Answer again, in full, in the same form."
        messages = (*self.messages, Message("assistant", (answer,)), Message("user", (again,)))
        return replace(self, messages=messages)

    @property
    def schema_chars(self) -> int:
        """How long the schema is as it is sent; it counts as input."""
        return 0 if self.schema is None else _known(self.schema).chars

    @property
    def media(self) -> tuple[MediaPart, ...]:
        """Every picture and sound, in order."""
        return tuple(part for message in self.messages for part in message.parts if isinstance(part, MediaPart))

    def body(self, read: Callable[[str], bytes]) -> dict[str, Any]:
        """What is posted to ``/chat/completions``. Slow where there are media: they are read, shrunk and encoded.

        Raises ``StorageFailed`` where a blob is gone and ``ValueError`` where a picture cannot be read.
        """
        messages = [{"role": m.role, "content": _content(m.parts, read)} for m in self.messages]
        body: dict[str, Any] = {"model": self.model, "messages": messages, **self.parameters}
        if self.sample and isinstance(seed := self.parameters.get("seed"), int):
            body["seed"] = seed + self.sample
        if self.schema is not None:
            bound = {"name": self.schema_name, "strict": True, "schema": self.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": bound}
        return body

    def payload(self, read: Callable[[str], bytes]) -> bytes:
        """The body as the bytes that are sent; lone surrogates, which JSON in UTF-8 cannot hold, become ``?``."""
        text = json.dumps(self.body(read), ensure_ascii=False, separators=(",", ":"), default=dict)
        return text.encode("utf-8", "replace")


def _content(parts: tuple[MessagePart, ...], read: Callable[[str], bytes]) -> str | list[dict[str, Any]]:
    texts = [part for part in parts if isinstance(part, str)]
    if len(texts) == len(parts):
        # Many servers for text models know no list of parts.
        return "".join(texts)
    return [{"type": "text", "text": part} if isinstance(part, str) else _media_part(part, read) for part in parts]


def _media_part(media: MediaPart, read: Callable[[str], bytes]) -> dict[str, Any]:
    data, suffix = read(media.blob), PurePosixPath(media.blob).suffix.lstrip(".")
    if media.kind == "audio":
        return {"type": "input_audio", "input_audio": {"data": _base64(data), "format": suffix}}
    if media.side_px is not None:
        data, suffix = _shrunk(data, suffix, media.side_px)
    mime = _MIME.get(suffix, f"image/{suffix}")
    return {"type": "image_url", "image_url": {"url": f"data:{mime};base64,{_base64(data)}", "detail": media.detail}}


def _shrunk(data: bytes, suffix: str, side_px: int) -> tuple[bytes, str]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as picture:
            if max(picture.size) <= side_px:
                return data, suffix
            picture.draft("RGB", (side_px, side_px))
            small = picture.convert("RGB")
        small.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"the picture cannot be read: {error}") from error
    written = io.BytesIO()
    small.save(written, "JPEG", quality=_JPEG_QUALITY)
    return written.getvalue(), "jpg"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _message_key(message: Message) -> list[Any]:
    # What a system message says is the same for every item, and longer than the rest.
    hash_of = _known_text if message.role == "system" else sha256_of
    return [message.role, [hash_of(part) if isinstance(part, str) else _media_key(part) for part in message.parts]]


_known_text = lru_cache(maxsize=64)(sha256_of)


def _media_key(media: MediaPart) -> list[Any]:
    name = PurePosixPath(media.blob)
    return [name.stem, name.suffix, media.kind, media.detail, media.side_px]


def _known(schema: Mapping[str, Any]) -> _KnownSchema:
    # One schema goes with every request of a stage, and is far longer than the text that is asked about.
    known = _known_schemas.get(id(schema))
    if known is None or known.schema is not schema:
        if len(_known_schemas) >= _SCHEMAS_KEPT:
            _known_schemas.clear()
        # Unsorted: a model writes its reply in the order of the schema.
        text = json.dumps(dict(schema), separators=(",", ":"), ensure_ascii=False)
        known = _KnownSchema(schema, sha256_of(text), len(text))
        _known_schemas[id(schema)] = known
    return known
