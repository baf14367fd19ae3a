"""The files of a batch: requests as lines, and lines of replies read without trusting any of them."""

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from curate.llm.request import Request

MAX_REQUESTS = 50_000
MAX_BYTES = 190_000_000
"""Just below the 200 MB that services accept."""
PATH = "/v1/chat/completions"
_END_STATES = frozenset({"completed", "expired", "cancelled", "failed"})
_ID = re.compile(r"[A-Za-z0-9._~:/=@+,-]{1,1000}")
_CUSTOM_ID = re.compile(rb'"custom_id"\s*:\s*"([A-Za-z0-9_-]{1,200})"')
_MAX_REQUEST_ID_CHARS = 200


class BatchFile(NamedTuple):
    """A file with the first ``included`` requests, and why some of them cannot be written, by index."""

    data: bytes
    included: int
    unreadable: dict[int, str]


class BatchLine(NamedTuple):
    """The reply to one request, by its key: as over HTTP, or ``unsent`` if the service did not process it."""

    key: str
    status: int
    body: bytes
    request_id: str | None
    unsent: str | None = None


def write_lines(requests: Sequence[Request], read: Callable[[str], bytes], *, max_bytes: int = MAX_BYTES) -> BatchFile:
    """Write as many of the requests as one file holds, at least one. Slow with media."""
    file = io.BytesIO()
    unreadable: dict[int, str] = {}
    requests = requests[:MAX_REQUESTS]
    for index, request in enumerate(requests):
        try:
            body = request.payload(read)
        except ValueError as error:
            unreadable[index] = str(error)
            continue
        head = f'{{"custom_id":"{request.key}","method":"POST","url":"{PATH}","body":'
        if file.tell() and file.tell() + len(head) + len(body) + 2 > max_bytes:
            return BatchFile(file.getvalue(), index, unreadable)
        file.write(head.encode("ascii"))
        file.write(body)
        file.write(b"}\n")
    return BatchFile(file.getvalue(), len(requests), unreadable)


def read_lines(data: bytes) -> Iterator[BatchLine]:
    """Yield the replies in an output or error file, skipping lines that name no request.

    A line that cannot be read otherwise counts as a reply of status 200 with an empty body: it may have been charged.
    """
    start = 0
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        line = _read_line(data[start:end])
        start = end + 1
        if line is not None:
            yield line


def _read_line(text: bytes) -> BatchLine | None:
    try:
        page = json.loads(text)
    except (ValueError, RecursionError):
        keys = _CUSTOM_ID.findall(text)
        return BatchLine(keys[0].decode(), 200, b"", None) if len(keys) == 1 else None
    if not isinstance(page, dict) or not isinstance(page.get("custom_id"), str):
        return None
    key, response, error = page["custom_id"], page.get("response"), page.get("error")
    status = response.get("status_code") if isinstance(response, dict) else None
    if isinstance(response, dict) and isinstance(status, int) and 100 <= status <= 599:
        return BatchLine(key, status, _encode_body(response.get("body")), _read_request_id(response.get("request_id")))
    message: Any = error.get("message") if isinstance(error, dict) else None
    unsent = message if isinstance(message, str) and message else "the batch ended before its turn"
    return BatchLine(key, 0, b"", None, unsent)


def _encode_body(body: Any) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    except RecursionError:
        return b""  # treated as an incomplete reply


def _read_request_id(value: Any) -> str | None:
    text = value[:_MAX_REQUEST_ID_CHARS] if isinstance(value, str) else ""
    return "".join(char for char in text if char.isprintable()) or None


def read_id(value: Any) -> str | None:
    """Return a service's id of a file or batch if it can be used in a URL and stored, otherwise None."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def has_ended(page: Mapping[str, Any]) -> bool:
    """Whether a batch brings no more replies."""
    status = page.get("status")
    return isinstance(status, str) and status in _END_STATES


def answered_count(page: Mapping[str, Any]) -> int:
    """Return how many replies the service says an ended batch has, 0 if it does not say."""
    counts = page.get("request_counts")
    count = counts.get("completed") if isinstance(counts, dict) else None
    return count if isinstance(count, int) else 0


def lacks_files(page: Mapping[str, Any]) -> bool:
    """Whether an ended batch names no file yet for replies that it must have."""
    if page.get("output_file_id"):
        return False
    return answered_count(page) > 0 or (page.get("status") == "completed" and not page.get("error_file_id"))


def why_ended(page: Mapping[str, Any]) -> tuple[str, bytes]:
    """Return why a batch left requests unanswered: a sentence, and its first error as the body of an error page."""
    errors = page.get("errors")
    entries = errors.get("data") if isinstance(errors, dict) else None
    first = next((entry for entry in entries if isinstance(entry, dict)), {}) if isinstance(entries, list) else {}
    error = {name: first[name] for name in ("message", "code", "type") if isinstance(first.get(name), str)}
    sentence = f"the batch ended as {page.get('status')}"
    if "message" in error:
        sentence = f"{sentence}: {error['message']}"
    return sentence, json.dumps({"error": error}).encode()
