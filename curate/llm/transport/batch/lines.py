"""The files of a batch: requests as lines, and lines of replies read without trusting any of them."""

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from curate.llm.request import Request

MOST_REQUESTS = 50_000
MOST_BYTES = 190_000_000
"""A little below the 200 MB that a service takes."""
PATH = "/v1/chat/completions"
_ENDED = frozenset({"completed", "expired", "cancelled", "failed"})
_ID = re.compile(r"[A-Za-z0-9._~:/=@+,-]{1,1000}")
_MOST_REQUEST_ID = 200


class BatchFile(NamedTuple):
    """The file for the first ``taken`` requests; those of them that cannot be written, by place, with a sentence."""

    data: bytes
    taken: int
    unreadable: dict[int, str]


class BatchLine(NamedTuple):
    """The reply to one request, by its key: as from HTTP, or ``unsent`` where the service never took it up."""

    key: str
    status: int
    body: bytes
    request_id: str | None
    unsent: str | None = None


def write_lines(
    requests: Sequence[Request], read: Callable[[str], bytes], *, most_bytes: int = MOST_BYTES
) -> BatchFile:
    """As many of the requests as one file holds, at least one. Slow where there are media."""
    file = io.BytesIO()
    unreadable: dict[int, str] = {}
    requests = requests[:MOST_REQUESTS]
    for at, request in enumerate(requests):
        try:
            body = request.payload(read)
        except ValueError as error:
            unreadable[at] = str(error)
            continue
        head = f'{{"custom_id":"{request.key}","method":"POST","url":"{PATH}","body":'
        if file.tell() and file.tell() + len(head) + len(body) + 2 > most_bytes:
            return BatchFile(file.getvalue(), at, unreadable)
        file.write(head.encode("ascii"))
        file.write(body)
        file.write(b"}\n")
    return BatchFile(file.getvalue(), len(requests), unreadable)


def read_lines(data: bytes) -> Iterator[BatchLine]:
    """The replies in an output or error file; what is no such line is passed over."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        line = _line(data[start:end])
        start = end + 1
        if line is not None:
            yield line


def _line(text: bytes) -> BatchLine | None:
    try:
        page = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(page, dict) or not isinstance(page.get("custom_id"), str):
        return None
    key, response, error = page["custom_id"], page.get("response"), page.get("error")
    status = response.get("status_code") if isinstance(response, dict) else None
    if isinstance(response, dict) and isinstance(status, int) and 100 <= status <= 599:
        return BatchLine(key, status, _body(response.get("body")), _request_id(response.get("request_id")))
    said: Any = error.get("message") if isinstance(error, dict) else None
    return BatchLine(key, 0, b"", None, said if isinstance(said, str) and said else "the batch ended before its turn")


def _body(body: Any) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    except RecursionError:
        return b""  # read and judged as a reply that is not whole


def _request_id(given: Any) -> str | None:
    named = given[:_MOST_REQUEST_ID] if isinstance(given, str) else ""
    return "".join(char for char in named if char.isprintable()) or None


def read_id(given: Any) -> str | None:
    """A service's name for a file or batch, fit for an address and for storing; None where it is none."""
    return given if isinstance(given, str) and _ID.fullmatch(given) else None


def has_ended(page: Mapping[str, Any]) -> bool:
    """Whether a batch brings nothing more."""
    status = page.get("status")
    return isinstance(status, str) and status in _ENDED


def why_ended(page: Mapping[str, Any] | None) -> tuple[str, bytes]:
    """Why a batch left requests without a reply: a sentence, and its first error as the body of an error page."""
    if page is None:
        return "the service does not know the batch any more", b""
    errors = page.get("errors")
    entries = errors.get("data") if isinstance(errors, dict) else None
    first = next((one for one in entries if isinstance(one, dict)), {}) if isinstance(entries, list) else {}
    told = {name: first[name] for name in ("message", "code", "type") if isinstance(first.get(name), str)}
    sentence = f"the batch ended as {page.get('status')}"
    return ": ".join([sentence, *([told["message"]] if "message" in told else [])]), json.dumps(
        {"error": told}
    ).encode()
