"""Tell whose face it is: group the embeddings of face tracks, within a source and across all of them."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SAME_PERSON = 0.4
"""Mean cosine of ArcFace vectors from which two groups of tracks are taken for one person."""


def cluster_vectors(vectors: NDArray[np.float32], *, min_cosine: float, count: int | None = None) -> list[int]:
    """For each of n unit vectors (n, size) the number of its group, 0 for the first seen.

    Average linkage: two groups become one while the mean cosine between their members is ``same`` or more or, where
    ``count`` is given, while there are more groups than that.
    """
    if len(vectors) < 2:
        return [0] * len(vectors)
    from scipy.cluster.hierarchy import fcluster, linkage

    exact = vectors.astype(np.float64)
    upper = np.triu_indices(len(exact), k=1)
    apart = np.clip(1 - (exact @ exact.T)[upper], 0, 2)
    tree = linkage(apart, method="average")
    found = fcluster(tree, 1 - min_cosine, "distance") if count is None else fcluster(tree, count, "maxclust")
    labels = found.tolist()
    order = {label: place for place, label in enumerate(dict.fromkeys(labels))}
    return [order[label] for label in labels]


def assign_identities(
    face_ids: Sequence[str],
    source_ids: Sequence[str],
    vectors: NDArray[np.float32],
    *,
    same_person: float = SAME_PERSON,
) -> list[str]:
    """For each of n face tracks with unit vectors (n, size) its person, named by the least id of their tracks.

    The tracks of one source are grouped by average linkage. Then each group, those of most tracks first, joins the
    person of other sources whose mean vector is nearest, where the cosine is ``same_person`` or more, or is a new one.
    The order of the tracks does not matter. Time grows with groups times people: 10,000 groups take seconds.
    """
    by_source: dict[str, list[int]] = defaultdict(list)
    for place in sorted(range(len(face_ids)), key=lambda at: face_ids[at]):
        by_source[source_ids[place]].append(place)
    groups: list[list[int]] = []
    for places in by_source.values():
        numbers = cluster_vectors(vectors[places], min_cosine=same_person)
        found: dict[int, list[int]] = defaultdict(list)
        for place, number in zip(places, numbers, strict=True):
            found[number].append(place)
        groups += found.values()
    groups.sort(key=lambda group: (-len(group), face_ids[group[0]]))
    sums = np.zeros((len(groups), vectors.shape[1] if vectors.ndim > 1 else 0), np.float64)
    means = np.zeros_like(sums, np.float32)
    people: list[list[int]] = []
    for group in groups:
        whole = vectors[group].sum(axis=0, dtype=np.float64)
        likeness = means[: len(people)] @ _unit(whole).astype(np.float32)
        person = int(likeness.argmax()) if len(people) else 0
        if not people or likeness[person] < same_person:
            person = len(people)
            people.append([])
        people[person] += group
        sums[person] += whole
        means[person] = _unit(sums[person])
    names = [""] * len(face_ids)
    for members in people:
        name = min(face_ids[place] for place in members)
        for place in members:
            names[place] = name
    return names


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9))
