"""Posts: what one may hold, and the source that it becomes."""

import json
from typing import Any

from curate.errors import InvalidRow
from curate.files import digest
from curate.llm.prompts.fence import is_visible
from curate.media.words.encodings import is_unicode

MAX_POST_BYTES = 1_000_000
MAX_TURNS = 500
MAX_STATEMENT_CHARS = 2_000
"""The statement is sent along with each sentence of its post."""
OPTIONAL_TEXTS = ("text_b", "statement")
"""Texts that a post may hold next to its own; if present, they are part of its identity."""
_MAX_QUOTED = 60


def parse_post(file: str, line: bytes) -> dict[str, Any]:
    """Return the source columns of one JSON post. Raises ``InvalidRow`` naming ``file``, its place."""
    try:
        post = json.loads(line, object_pairs_hook=_unique_members)
    except (ValueError, RecursionError) as error:
        raise InvalidRow(f"{file} is not JSON: {error}") from error
    if not isinstance(post, dict):
        raise InvalidRow(f"{file} is not a JSON object")
    return post_source(file, post, len(line))


def post_source(file: str, post: dict[str, Any], size_bytes: int) -> dict[str, Any]:
    """Return the source columns of a post. Raises ``InvalidRow`` naming ``file`` and the member that is wrong.

    ``source_id`` is a hash of everything that is judged or shown, wherever the post is stored.
    """
    text, author, title = post.get("text"), post.get("speaker", post.get("author")), post.get("title")
    optional = {name: post[name] for name in OPTIONAL_TEXTS if post.get(name) is not None}
    for name, value in {"text": text, "speaker": author, "title": title, **optional}.items():
        _check_text(file, name, value)
    dialogue = None if post.get("dialogue") is None else _dialogue(file, post["dialogue"])
    if not is_visible(text or "") and (text is not None or "text_b" in optional or dialogue is None):
        similar = [name for name in post if name != "text" and name.strip().lower() == "text"]
        raise InvalidRow(f"{file} has no text" + (f": rename {similar[0]!r} to text" if similar else ""))
    if blank := [name for name, value in optional.items() if not is_visible(value)]:
        raise InvalidRow(f"{file}: {blank[0]} is blank")
    if len(optional.get("statement", "")) > MAX_STATEMENT_CHARS:
        raise InvalidRow(f"{file}: statement is longer than {MAX_STATEMENT_CHARS} characters")
    content: dict[str, Any] = {"text": text.strip()} if text else {}
    content |= {name: value.strip() for name, value in optional.items()}
    content |= {"dialogue": dialogue} if dialogue else {}
    speaker = author.strip() if isinstance(author, str) and is_visible(author) else None
    source_id = digest({**content, "author": speaker})
    return {
        "source_id": source_id,
        "kind": "text",
        "size_bytes": size_bytes,
        **content,
        "speaker": speaker,
        "title": title,
    }


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"two members are named {next(name for name in names if names.count(name) > 1)[:_MAX_QUOTED]}")
    return members


def _dialogue(file: str, turns: Any) -> list[dict[str, str | None]]:
    if not isinstance(turns, list) or not turns:
        raise InvalidRow(f"{file}: dialogue is not a list of turns")
    if len(turns) > MAX_TURNS:
        raise InvalidRow(f"{file}: dialogue has {len(turns)} turns, more than {MAX_TURNS}")
    dialogue = []
    for number, turn in enumerate(turns):
        if not isinstance(turn, dict):
            raise InvalidRow(f"{file}: turn {number} of dialogue is not an object with speaker and text")
        text, speaker = turn.get("text"), turn.get("speaker")
        _check_text(file, f"text of turn {number} of dialogue", text)
        _check_text(file, f"speaker of turn {number} of dialogue", speaker)
        if text is None or not is_visible(text):
            raise InvalidRow(f"{file}: turn {number} of dialogue has no text")
        dialogue.append({"speaker": speaker.strip() if speaker and is_visible(speaker) else None, "text": text.strip()})
    return dialogue


def _check_text(file: str, name: str, value: Any) -> None:
    if value is not None and not (isinstance(value, str) and is_unicode(value)):
        raise InvalidRow(f"{file}: {name} is not a text")
