"""What a person wants forgotten, as tombstones: the sources and items that it covers, and copies of these."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.spec import table_columns
from curate.corpus.stored import stored_tables
from curate.corpus.tombstones import Kind, Tombstone, Tombstones, now
from curate.errors import InvalidInput
from curate.release.takedown import read_ids
from curate.release.versions import Releases
from curate.storage.columns import fill_columns
from curate.storage.workspace import Workspace

ScopeKind = Literal["source", "item", "participant", "annotator", "expired", "derived"]
_SHORTEST_PREFIX = 6
_MAX_NAMED = 10
_ITEMS = pa.schema(
    [
        *((name, pa.string()) for name in ("item_id", "source_id", "speaker", "layout", "text", "repeats")),
        *((name, pa.float64()) for name in ("start_s", "end_s")),
        *((name, pa.int32()) for name in ("turn", "channel")),
    ]
)
_SOURCES = pa.schema(
    [
        *((name, pa.string()) for name in ("source_id", "file", "participant", "speaker", "text", "consent_until")),
        table_columns("sources").field("parents"),
    ]
)


def today() -> date:
    """Return the present day in UTC, by which consent expires."""
    return datetime.now(UTC).date()


class Scope(NamedTuple):
    """What is to be forgotten. ``name`` is an id; a source may also be named by its file."""

    kind: ScopeKind
    name: str = ""
    unlink: bool = False
    """Keep a rater's judgements under a random name instead of removing them"""

    def __str__(self) -> str:
        return self.kind if self.kind in ("expired", "derived") else f"{self.kind} {self.name}"


class Holdings(NamedTuple):
    """The rows of a workspace that say whose its items are, current or not."""

    sources: pa.Table
    items: pa.Table
    """Items that only releases still hold have just their ids and speaker"""
    raters: set[str]

    @classmethod
    def read(cls, workspace: Workspace) -> "Holdings":
        """Read them from the tables and the releases."""
        tables = {name: table.read_stored() for name, table in stored_tables(workspace).items()}
        items = [fill_columns(tables["items"], _ITEMS)] if "items" in tables else []
        raters: set[str] = set()
        for name, rows in tables.items():
            if name.partition("/")[0] == "annotations":
                raters.update(rows["annotator"].drop_null().unique().to_pylist())
        releases = Releases(workspace.releases)
        for manifest in releases.manifests():
            paths = [file.path for file in manifest.files if file.rows is not None]
            for path in releases.folder.child(manifest.version).fetch(paths):
                ids, names = read_ids(path)
                raters |= names
                items += [fill_columns(ids, _ITEMS)] if "source_id" in ids.column_names else []
        table = pa.concat_tables(items) if items else _ITEMS.empty_table()
        sources = fill_columns(tables["sources"], _SOURCES) if "sources" in tables else _SOURCES.empty_table()
        return cls(sources, table, raters)


def tombstones_for(
    scope: Scope,
    reason: str,
    holdings: Holdings,
    tombstones: Tombstones,
    *,
    today: date,
    parents: Sequence[Tombstones] = (),
) -> list[Tombstone]:
    """Return the tombstones of what a scope covers: itself, every item of it, and items with the same content.

    ``parents`` are those of the corpora that items were derived from.
    Raises ``InvalidInput`` if the workspace holds nothing of that name.
    """
    chosen = _choose(scope, holdings, today, parents)
    shared_fields = {"reason": reason, "scope": scope.kind, "forgotten_at": now()}
    stones = [_stone(tombstones, kind, name, shared_fields) for kind, name in chosen]
    if scope.kind == "annotator":
        alias = f"unlinked-{secrets.token_hex(6)}" if scope.unlink else None
        return [stone.model_copy(update={"alias": alias}) for stone in stones]
    texts = dict(zip(holdings.sources["source_id"].to_pylist(), holdings.sources["text"].to_pylist(), strict=True))
    names = {name for kind, name in chosen if kind == "item"}
    rows = holdings.items.filter(pc.is_in(holdings.items["item_id"], value_set=pa.array(sorted(names), pa.string())))
    # Releases do not say which part of its source an item is, so that none of theirs ends its whole source.
    parts = {row["item_id"]: row for row in rows.to_pylist() if row["layout"]}
    stones = [s for s in stones if s.kind != "item"]
    for name in sorted(names):
        part = _part(tombstones, parts[name], texts) if name in parts else {}
        stones.append(_stone(tombstones, "item", name, {**shared_fields, **part}))
        if name in parts and not set(part) & {"start_s", "turn", "chars"}:
            # The item is all that there is of its source.
            stones.append(_stone(tombstones, "source", parts[name]["source_id"], shared_fields))
    covered = holdings.sources.filter(Tombstones(tombstones.secret, stones).forgotten_rows(holdings.sources))
    stone_keys = {stone.key for stone in stones}
    source_stones = (
        _stone(tombstones, "source", name, shared_fields) for name in sorted(set(covered["source_id"].to_pylist()))
    )
    stones += [stone for stone in source_stones if stone.key not in stone_keys]
    return _with_items(stones, holdings.items, tombstones, shared_fields)


def _choose(scope: Scope, holdings: Holdings, today: date, parents: Sequence[Tombstones]) -> list[tuple[Kind, str]]:
    """Return the kinds and ids that the scope names."""
    sources = holdings.sources
    if scope.kind == "derived":
        return _forgotten_there(holdings, parents)
    if scope.kind == "expired":
        ends = sources["consent_until"]
        is_expired = pc.fill_null(pc.less(ends, today.isoformat()), False)
        return [("source", name) for name in sorted(set(sources.filter(is_expired)["source_id"].to_pylist()))]
    if scope.kind == "participant":
        return [("participant", scope.name)]
    if scope.kind == "annotator":
        return [("annotator", scope.name)]
    if scope.kind == "source":
        is_file = pc.equal(sources["file"], scope.name)
        is_part = pc.starts_with(sources["file"], f"{scope.name}#")
        if by_file := set(sources.filter(pc.fill_null(pc.or_(is_file, is_part), False))["source_id"].to_pylist()):
            return [("source", name) for name in sorted(by_file)]
    column = f"{scope.kind}_id"
    ids = {
        name
        for table in (sources, holdings.items, _parents(sources))
        if column in table.column_names
        for name in table[column].to_pylist()
    }
    return [(scope.kind, _whole_id(scope, ids))]


def _forgotten_there(holdings: Holdings, parents: Sequence[Tombstones]) -> list[tuple[Kind, str]]:
    """Return the items and raters of other corpora that were forgotten there, and are still held here."""
    items = set(_parents(holdings.sources)["item_id"].to_pylist())
    gone_items = {name for tombstones in parents for name in tombstones.holds("item", items)}
    gone_raters = {name for tombstones in parents for name in tombstones.holds("annotator", holdings.raters)}
    return [*(("item", name) for name in sorted(gone_items)), *(("annotator", name) for name in sorted(gone_raters))]


def _parents(sources: pa.Table) -> pa.Table:
    """Return the items of other corpora that sources were derived from, one row each time."""
    members = pc.list_flatten(sources["parents"])
    return pa.table({name: pc.struct_field(members, name) for name in ("item_id", "source_id")})


def _whole_id(scope: Scope, ids: Iterable[str]) -> str:
    """Return the id that begins with the name of the scope; a name that is none of them as it is."""
    ids = set(ids)
    if scope.name in ids or len(scope.name) < _SHORTEST_PREFIX:
        return scope.name
    matches = sorted(name for name in ids if name and name.startswith(scope.name))
    if len(matches) > 1:
        raise InvalidInput(
            f"{len(matches)} {scope.kind}s begin with {scope.name!r}",
            problems=tuple(matches[:_MAX_NAMED]),
            hint="write more of it",
        )
    return matches[0] if matches else scope.name


def _with_items(
    stones: list[Tombstone], items: pa.Table, tombstones: Tombstones, shared_fields: Mapping[str, str]
) -> list[Tombstone]:
    """Return the tombstones with those of every item that they cover, and of the items that repeat one of these."""
    covered: set[str] = set()
    while True:
        gone = items.filter(Tombstones(tombstones.secret, stones).forgotten_rows(items))
        names = set(gone["item_id"].to_pylist())
        originals = pa.array(sorted(names | set(gone["repeats"].drop_null().to_pylist())), pa.string())
        same = pc.or_(pc.is_in(items["item_id"], value_set=originals), pc.is_in(items["repeats"], value_set=originals))
        names |= set(items.filter(pc.fill_null(same, False))["item_id"].to_pylist())
        if names <= covered:
            return stones
        item_keys = {stone.key for stone in stones if stone.kind == "item"}
        new = {name for name in names if tombstones.key("item", name) not in item_keys}
        parts = _measured_parts(items, new, tombstones)
        stones += [_stone(tombstones, "item", name, {**shared_fields, **parts.get(name, {})}) for name in sorted(new)]
        covered |= names


def _measured_parts(items: pa.Table, names: set[str], tombstones: Tombstones) -> dict[str, dict[str, object]]:
    """Return the seconds of items, from which others may be cut, but of which nothing that was measured may stay."""
    rows = items.filter(pc.is_in(items["item_id"], value_set=pa.array(sorted(names), pa.string())))
    rows = rows.filter(pc.and_(rows["start_s"].is_valid(), rows["end_s"].is_valid()))
    return {
        row["item_id"]: {
            "source": tombstones.key("source", row["source_id"]),
            "start_s": row["start_s"],
            "end_s": row["end_s"],
            "cuts": False,
        }
        for row in rows.select(["item_id", "source_id", "start_s", "end_s"]).to_pylist()
    }


def _part(tombstones: Tombstones, row: Mapping[str, object], texts: Mapping[str, str | None]) -> dict[str, object]:
    """Return which part of its source an item is."""
    source_id = str(row["source_id"])
    part = {name: row[name] for name in ("start_s", "end_s", "channel", "turn") if row[name] is not None}
    text, source_text = row["text"], texts.get(source_id)
    if not part and isinstance(text, str) and source_text and text != source_text and text in source_text:
        start = source_text.index(text)
        part["chars"] = (start, start + len(text))
    return {**part, "source": tombstones.key("source", source_id)} if part else {}


def _stone(tombstones: Tombstones, kind: Kind, name: str, fields: Mapping[str, object]) -> Tombstone:
    return Tombstone.model_validate({"kind": kind, "key": tombstones.key(kind, name), **fields})
