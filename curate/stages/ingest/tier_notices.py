"""What no mapping reads of files of tiers, and vocabularies that are in other files."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from curate.annotation.importing.rows import where_pattern
from curate.annotation.importing.settings import Table
from curate.corpus.sources import RawFolders
from curate.errors import InvalidRow
from curate.media.tiers.open import SUFFIXES, read_tier_file
from curate.sentences import count_of
from curate.stages.ingest.tables import find_tables

_MAX_FILES, _MAX_BYTES, _MAX_NAMED = 100, 20_000_000, 5


def tier_notices(tables: Sequence[Table], raw: RawFolders) -> Iterator[str]:
    """Yield a sentence for tiers that no mapping is about, and for each vocabulary that is not in its file.

    Only the first hundred files are looked at, and none that are very large.
    """
    readers: defaultdict[tuple[str, Path], list[Table]] = defaultdict(list)
    for table in tables:
        for pattern in table.table:
            if pattern.lower().endswith(SUFFIXES):
                with suppress(InvalidRow):  # `missing` says so
                    for file in find_tables(pattern, raw):
                        readers[file].append(table)
    unread: Counter[str] = Counter()
    absent: dict[str, str] = {}
    for (name, path), mappings in list(readers.items())[:_MAX_FILES]:
        try:
            if path.stat().st_size > _MAX_BYTES:
                continue
            tiers = read_tier_file(path)
        except (InvalidRow, OSError):  # whoever reads it says so
            continue
        patterns = [where_pattern(mapping.where.get("tier", ("*",))) for mapping in mappings]
        lost = {tier for tier in tiers.tiers if not any(re.search(pattern, tier) for pattern in patterns)}
        unread.update(annotation.tier for annotation in tiers.annotations if annotation.tier in lost)
        used = {tier.vocabulary for tier in tiers.tiers.values()} - {""}
        for vocabulary in tiers.vocabularies:
            if vocabulary.external and not vocabulary.entries and vocabulary.name in used:
                outside = PurePosixPath(vocabulary.external.replace("\\", "/")).name
                if not path.with_name(outside or "-").is_file():
                    absent.setdefault(vocabulary.name, f"{outside}, which is not beside {name}")
    if unread:
        named = ", ".join(f"{tier[:60]} ({count:,})" for tier, count in unread.most_common(_MAX_NAMED))
        more = f" and {len(unread) - _MAX_NAMED:,} more" if len(unread) > _MAX_NAMED else ""
        total = count_of(sum(unread.values()), "annotation")
        yield f"{total} on tiers that no mapping is about: {named}{more}"
    yield from (f"vocabulary {name[:60]} is in {place}: its values are not known" for name, place in absent.items())
