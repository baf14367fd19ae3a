"""The split schemes of a release: the split of each item, the proof that splits are apart, and what they reach."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.splitting.keys import column_of, with_columns
from curate.corpus.splitting.separation import Separation, separations
from curate.corpus.splitting.splits import MAX_SPLITS, SplitSettings, split_items
from curate.corpus.view import Corpus
from curate.document import nearest
from curate.errors import InvalidInput
from curate.labels import LabelSchema
from curate.release.rows import ReleaseTables
from curate.release.schemes import SPLIT_PREFIX, KeyFacts, SchemeFacts
from curate.release.versions import Releases
from curate.stages.label_counts import ItemLabels, column_strata
from curate.stages.split_scheme import is_split_name

_MAX_PROBLEMS = 20
_WATCHED = ("source", "speaker")
"""What the facts of a scheme are about besides what it keeps apart"""


class DividedRelease(NamedTuple):
    """The split of every item in each scheme, the primary one first; null for none, and for what is not released."""

    splits: dict[str, pa.Array]
    withheld: int
    """Items that would be released if the primary scheme had a split for them"""

    @property
    def primary(self) -> pa.Array:
        """The splits that divide the files."""
        return next(iter(self.splits.values()))

    @property
    def names(self) -> list[str]:
        """The splits of the primary scheme that have items, in order of their names."""
        return sorted(self.primary.drop_null().unique().to_pylist())

    def with_columns(self, items: pa.Table) -> pa.Table:
        """Return the items with a column for each further scheme."""
        for name, splits in list(self.splits.items())[1:]:
            items = items.append_column(f"{SPLIT_PREFIX}{name}", splits)
        return items


def divide_release(
    corpus: Corpus,
    tables: ReleaseTables,
    schemes: Mapping[str, SplitSettings],
    labels: LabelSchema,
    *,
    selected: pa.Array,
) -> DividedRelease:
    """Divide the items of a release by every scheme, as earlier releases did; the first one decides what is released.

    ``selected`` marks the items that may be released. Raises ``InvalidInput`` for a column that does not exist, and
    for an item that would move.
    """
    releases, recipe = Releases(corpus.workspace.releases), corpus.workspace.recipe or "corpus"
    splits: dict[str, pa.Array] = {}
    released, withheld = selected, 0
    for name, settings in schemes.items():
        earlier = releases.earlier_splits(recipe, settings.identity)
        is_whole = not splits or pc.all(released).as_py()
        items = tables.items if is_whole else tables.items.filter(released)
        made = split_items(
            items,
            tables.sources,
            settings,
            earlier,
            strata=_strata(settings, tables._replace(items=items), labels),
            secret=corpus.workspace.secret,
        )
        if not splits:
            made = pc.if_else(selected, made, pa.scalar(None, pa.string()))
            released = made.is_valid()
            withheld = pc.sum(selected).as_py() - (len(made) - made.null_count)
            _check_names(made, settings)
        else:
            made = pc.replace_with_mask(pa.nulls(len(released), pa.string()), released, made)
        splits[name] = made
    return DividedRelease(splits, withheld)


def prove(
    divided: DividedRelease,
    tables: ReleaseTables,
    schemes: Mapping[str, SplitSettings],
    rules: Mapping[str, str],
    labels: LabelSchema,
    hidden: Collection[str],
) -> tuple[dict[str, SchemeFacts], list[Separation]]:
    """Return the facts of every scheme, and how far the splits of the primary one are apart.

    Raises ``InvalidInput`` if splits of any scheme share what they must not, and for a ``hidden`` split without items.
    """
    _check_hidden(divided, next(iter(schemes.values())), hidden)
    fields = {
        name: ItemLabels(field, tables.items, tables.labels) for name, field in labels.fields.items() if field.labels
    }
    is_hidden = pc.is_in(divided.primary, value_set=pa.array(sorted(hidden), pa.string()))
    facts: dict[str, SchemeFacts] = {}
    of_primary: list[Separation] = []
    problems: list[str] = []
    for name, settings in schemes.items():
        splits = divided.splits[name]
        rows = with_columns(tables.items, tables.sources, settings.columns)
        watched = tuple(dict.fromkeys((*settings.keys, *_WATCHED)))
        separated = separations(rows, splits, watched)
        prefix = "" if len(schemes) == 1 else f"{name}: "
        problems += [f"{prefix}{leak}" for leak in _leaks(separated, settings)]
        visible_splits = pc.if_else(is_hidden, pa.scalar(None, pa.string()), splits)
        facts[name] = _facts(settings, rules[name], splits, separated, divided, fields, visible_splits, hidden)
        of_primary = of_primary or [
            separation for separation in separated if separation.key in settings.keys or settings.column
        ]
    if problems:
        is_divided_by_user = any(settings.column or settings.ids for settings in schemes.values())
        reason = (
            "splits share what `disjoint_by` keeps apart"
            if is_divided_by_user
            else "earlier releases put items apart that now belong together, and items never move between splits"
        )
        raise InvalidInput(
            reason,
            problems=tuple(problems[:_MAX_PROBLEMS]),
            hint="correct what they share, or give the scheme another `seed` to divide all items anew",
        )
    return facts, of_primary


def _check_hidden(divided: DividedRelease, settings: SplitSettings, hidden: Collection[str]) -> None:
    """Refuse to hide a split that the column which divides the files does not name: what was meant would be shown."""
    unknown = sorted(set(hidden) - set(divided.names))
    if settings.column is not None and unknown:
        raise InvalidInput(
            f"hidden: no item is in split {unknown[0]} of column {settings.column}{nearest(unknown[0], divided.names)}",
            hint="correct `hidden` in the stage export, or leave the split out of it until it has items",
        )


def _facts(
    settings: SplitSettings,
    rule: str,
    splits: pa.Array,
    separated: Sequence[Separation],
    divided: DividedRelease,
    fields: Mapping[str, ItemLabels],
    visible_splits: pa.Array,
    hidden: Collection[str],
) -> SchemeFacts:
    counts = {entry["values"]: entry["counts"] for entry in splits.drop_null().value_counts().to_pylist()}
    primary = splits is divided.primary
    is_balanced = settings.leave_one_out is None and len(counts) <= MAX_SPLITS
    balance = {name: values.distances(visible_splits) for name, values in fields.items()} if is_balanced else {}
    return SchemeFacts(
        identity=settings.identity,
        rule=rule,
        primary=primary,
        splits={} if settings.leave_one_out else {name: counts[name] for name in sorted(counts)},
        sizes=tuple(sorted(counts.values(), reverse=True)) if settings.leave_one_out else (),
        wanted=dict(settings.ratios),
        without=divided.withheld if primary else _released(divided) - sum(counts.values()),
        keys={
            separation.key: KeyFacts(
                disjoint=separation.key in settings.keys, known=separation.known, shared=len(separation.leaks)
            )
            for separation in separated
        },
        balance={name: distances for name, distances in balance.items() if len(distances) > 1},
        hidden=tuple(sorted(set(hidden) & set(counts))) if primary else (),
    )


def _released(divided: DividedRelease) -> int:
    return int(len(divided.primary) - divided.primary.null_count)


def _leaks(separated: Sequence[Separation], settings: SplitSettings) -> Iterator[str]:
    for separation in separated:
        if separation.key in settings.keys:
            for value, names in separation.leaks.items():
                yield f"{separation.key} {value} occurs in {' and '.join(names)}"


def _strata(settings: SplitSettings, tables: ReleaseTables, labels: LabelSchema) -> pa.Array | None:
    if settings.stratify_by is None:
        return None
    if field := labels.fields.get(settings.stratify_by):
        return ItemLabels(field, tables.items, tables.labels).strata()
    name = column_of(settings.stratify_by)
    return column_strata(with_columns(tables.items, tables.sources, [name])[name])


def _check_names(splits: pa.Array, settings: SplitSettings) -> None:
    unusable = [name for name in splits.drop_null().unique().to_pylist() if not is_split_name(name)]
    if unusable:
        raise InvalidInput(
            f"column {settings.column} names a split {unusable[0]!r}, which cannot name a file",
            hint="use letters, digits and underscores, or make another scheme the one called default",
        )
