"""What was forgotten: tombstones without content, which keep it out of every table from then on."""

import hmac
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from curate.corpus.pseudonyms import PSEUDONYM, pseudonym
from curate.errors import WorkspaceUnusable
from curate.storage.workspace import Workspace

FILE = "forgotten.json"
"""The workspace's file of tombstones."""
MASK = "█"
"""Stands for each character of a forgotten text that other rows quote, so that positions in these stay right."""
_OVERLAP_S = 0.001

Kind = Literal["source", "item", "participant", "annotator"]


class Tombstone(BaseModel):
    """One thing that was forgotten. ``key`` names it only to those who have both the workspace's secret and its id.

    For an item, ``source`` is the key of its source and the rest says which part of it: seconds, the turn of a
    dialogue, or characters of a text, so that no other item is cut from there again.
    """

    model_config = ConfigDict(frozen=True)

    kind: Kind
    key: str
    reason: str
    scope: str
    """What was asked to be forgotten: source, item, participant, annotator or expired"""
    forgotten_at: str
    releases: tuple[str, ...] = ()
    """The versions that held it"""
    alias: str | None = None
    """For a rater whose judgements stay: the random name that they get, until forgetting has finished"""
    source: str | None = None
    start_s: float | None = None
    end_s: float | None = None
    channel: int | None = None
    turn: int | None = None
    chars: tuple[int, int] | None = None
    cuts: bool = True
    """Whether no other item may be cut from that part; if not, only what was measured then is forgotten"""


class Tombstones:
    """The tombstones of a workspace, and whether rows are of something forgotten."""

    def __init__(
        self, secret: bytes, stones: Iterable[Tombstone] = (), *, unfinished: bool = False, server_waits: bool = False
    ) -> None:
        self.secret = secret
        self.stones = tuple(stones)
        self.unfinished = unfinished
        """Whether what they name may still be stored: forgetting was interrupted"""
        self.server_waits = server_waits
        """Whether the annotation server may still hold tasks of what they name"""
        self._keys = {
            kind: {stone.key for stone in self.stones if stone.kind == kind}
            for kind in ("source", "item", "participant", "annotator")
        }
        self._parts: dict[str, list[Tombstone]] = {}
        for stone in self.stones:
            if stone.source is not None:
                self._parts.setdefault(stone.source, []).append(stone)

    @classmethod
    def read(cls, workspace: Workspace) -> "Tombstones":
        """Read those of a workspace. Raises ``WorkspaceUnusable`` if the file is damaged: nothing may come back."""
        try:
            document = json.loads(workspace.folder.read(FILE).decode("utf-8"))
            stones = [Tombstone.model_validate(stone) for stone in document["tombstones"]]
            state = {name: bool(document[name]) for name in ("unfinished", "server_waits")}
            return cls(workspace.secret, stones, **state)
        except FileNotFoundError:
            return cls(workspace.secret)
        except (ValueError, KeyError, TypeError, RecursionError, ValidationError) as error:
            raise WorkspaceUnusable(
                f"{workspace.location}/{FILE} cannot be read, and it says what must not come back",
                hint="restore it from a copy; without one, forget again what has to be forgotten",
            ) from error

    def write(self, workspace: Workspace) -> None:
        """Write them, whole or not at all."""
        stones = [stone.model_dump(mode="json", exclude_none=True) for stone in self.stones]
        state = {"unfinished": self.unfinished, "server_waits": self.server_waits}
        document = {"format": 1, **state, "tombstones": stones}
        with workspace.folder.errors():
            workspace.folder.write(FILE, json.dumps(document, indent=1).encode())

    def changed(
        self,
        stones: Iterable[Tombstone] = (),
        *,
        unfinished: bool | None = None,
        server_waits: bool | None = None,
    ) -> "Tombstones":
        """Return these with others, in another state; of two for the same thing, the first stays."""
        by_thing = {(stone.kind, stone.key): stone for stone in reversed((*self.stones, *stones))}
        return Tombstones(
            self.secret,
            reversed(by_thing.values()),
            unfinished=self.unfinished if unfinished is None else unfinished,
            server_waits=self.server_waits if server_waits is None else server_waits,
        )

    def check_finished(self) -> None:
        """Raise ``WorkspaceUnusable`` if forgetting was interrupted: what is left must not get into a release."""
        if self.unfinished:
            raise WorkspaceUnusable(
                "forgetting was interrupted, and parts of what was to be forgotten are still here",
                hint="finish it with `curate forget --resume`, then run this again",
            )

    def __bool__(self) -> bool:
        return bool(self.stones)

    def key(self, kind: Kind, name: str) -> str:
        """Return the key of something with this id (HMAC-SHA256); a rater's is that of their pseudonym."""
        if kind == "annotator" and not PSEUDONYM.fullmatch(name):
            name = pseudonym(name, self.secret) or ""
        return hmac.digest(self.secret, f"{kind}:{name}".encode("utf-8", "surrogatepass"), "sha256").hex()

    def holds(self, kind: Kind, names: Iterable[str]) -> set[str]:
        """Return those of the ids that are forgotten."""
        keys = self._keys[kind]
        return {name for name in names if self.key(kind, name) in keys} if keys else set()

    def aliases(self, annotators: Iterable[str]) -> dict[str, str]:
        """Return the new names of those raters whose judgements stay, by their old ones."""
        by_key = {stone.key: stone.alias for stone in self.stones if stone.alias}
        keys = {name: self.key("annotator", name) for name in annotators} if by_key else {}
        return {name: alias for name, key in keys.items() if (alias := by_key.get(key))}

    def forgotten_rows(self, rows: pa.Table) -> pa.Array:
        """Return for each row of any table whether it is of something forgotten, by the columns that it has."""
        kinds: Sequence[tuple[str, Kind]] = (
            *(("source_id", "source"), ("item_id", "item"), ("participant", "participant")),
            *(("speaker", "participant"), ("annotator", "annotator")),
        )
        is_forgotten = np.zeros(rows.num_rows, np.bool_)
        for column, kind in kinds:
            if column in rows.column_names and self._keys[kind]:
                names = self.holds(kind, rows[column].drop_null().unique().to_pylist())
                is_forgotten |= pc.is_in(rows[column], value_set=pa.array(sorted(names), pa.string())).to_numpy()
        if "parents" in rows.column_names and self.stones:
            is_forgotten |= self._of_parents(rows["parents"])
        if {"source_id", "item_id", "start_s", "turn"} <= set(rows.column_names):
            is_forgotten |= self._parts_of_sources(rows)
            if "text" in rows.column_names and self.stones:
                is_masked = pc.match_substring_regex(rows["text"], f"^{MASK}+$")
                is_forgotten |= pc.fill_null(is_masked, False).to_numpy()
        return pa.array(is_forgotten)

    def _of_parents(self, parents: pa.ChunkedArray) -> NDArray[np.bool_]:
        """Return which derived rows come from something forgotten."""
        is_forgotten = np.zeros(len(parents), np.bool_)
        start = 0
        for chunk in parents.chunks:
            members = chunk.flatten()
            rows = pa.table({name: members.field(name) for name in ("item_id", "source_id", "participant", "speaker")})
            owners = np.asarray(pc.list_parent_indices(chunk))
            is_forgotten[start + owners[np.asarray(self.forgotten_rows(rows))]] = True
            start += len(chunk)
        return is_forgotten

    def parts_by_source(self, source_ids: pa.ChunkedArray) -> dict[str, list[Tombstone]]:
        """Return the forgotten parts of these sources, by source, from which no item may be cut."""
        parts = self.measured_parts_by_source(source_ids)
        cut_parts = {source_id: [stone for stone in stones if stone.cuts] for source_id, stones in parts.items()}
        return {source_id: stones for source_id, stones in cut_parts.items() if stones}

    def measured_parts_by_source(self, source_ids: pa.ChunkedArray) -> dict[str, list[Tombstone]]:
        """Return the parts of these sources, by source, of which nothing that was measured may stay."""
        if not self._parts:
            return {}
        keys = {source_id: self.key("source", source_id) for source_id in source_ids.drop_null().unique().to_pylist()}
        return {source_id: self._parts[key] for source_id, key in keys.items() if key in self._parts}

    def _parts_of_sources(self, rows: pa.Table) -> NDArray[np.bool_]:
        parts = self.parts_by_source(rows["source_id"])
        columns = ("start_s", "end_s", "turn", "channel", "layout")
        candidates = np.flatnonzero(pc.is_in(rows["source_id"], value_set=pa.array(sorted(parts), pa.string())))
        is_part = np.zeros(rows.num_rows, np.bool_)
        for index in candidates.tolist():
            extent = [rows[name][index].as_py() if name in rows.column_names else None for name in columns]
            is_part[index] = any(is_cut_from(stone, *extent) for stone in parts[rows["source_id"][index].as_py()])
        return is_part


def is_cut_from(
    stone: Tombstone,
    start_s: float | None,
    end_s: float | None,
    turn: int | None,
    channel: int | None,
    layout: str | None,
) -> bool:
    """Return whether an item has seconds or the turn of a forgotten one. Pictures are the same in all channels."""
    if stone.turn is not None:
        return turn == stone.turn
    if stone.start_s is None or stone.end_s is None or start_s is None or end_s is None:
        return False
    is_heard = layout == "video" or channel is None or stone.channel is None or channel == stone.channel
    return is_heard and min(end_s, stone.end_s) - max(start_s, stone.start_s) > _OVERLAP_S


def now() -> str:
    """Return the time that goes into a tombstone, in UTC."""
    return datetime.now(UTC).isoformat("T", "seconds")
