"""Group vectors of faces or voices by whose they are, within one source and across all."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SAME_PERSON = 0.4
"""Groups of tracks whose ArcFace vectors have this mean cosine or more are one person."""


def cluster_vectors(vectors: NDArray[np.float32], *, min_cosine: float, count: int | None = None) -> list[int]:
    """Return for each of n unit vectors (n, size) the number of its group, counted by first appearance from 0.

    Average linkage: two groups are merged while the mean cosine between their members is ``min_cosine`` or more or, if
    ``count`` is given, while there are more groups than that.
    """
    if len(vectors) < 2:
        return [0] * len(vectors)
    from scipy.cluster.hierarchy import fcluster, linkage

    exact = vectors.astype(np.float64)
    upper = np.triu_indices(len(exact), k=1)
    distances = np.clip(1 - (exact @ exact.T)[upper], 0, 2)
    tree = linkage(distances, method="average")
    clusters = fcluster(tree, 1 - min_cosine, "distance") if count is None else fcluster(tree, count, "maxclust")
    labels = clusters.tolist()
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return [numbers[label] for label in labels]


def assign_identities(
    face_ids: Sequence[str],
    source_ids: Sequence[str],
    vectors: NDArray[np.float32],
    *,
    same_person: float = SAME_PERSON,
) -> list[str]:
    """Return for each of n face tracks with unit vectors (n, size) its person, named by the smallest id of its tracks.

    The tracks of one source are grouped by average linkage. Each group, largest first, then joins the person of other
    sources with the nearest mean vector if the cosine is ``same_person`` or more; otherwise it is a new person. The
    order of the tracks does not matter. Time grows with groups times people: 10,000 groups take seconds.
    """
    by_source: dict[str, list[int]] = defaultdict(list)
    for index in sorted(range(len(face_ids)), key=lambda index: face_ids[index]):
        by_source[source_ids[index]].append(index)
    groups: list[list[int]] = []
    for indices in by_source.values():
        numbers = cluster_vectors(vectors[indices], min_cosine=same_person)
        by_number: dict[int, list[int]] = defaultdict(list)
        for index, number in zip(indices, numbers, strict=True):
            by_number[number].append(index)
        groups += by_number.values()
    groups.sort(key=lambda group: (-len(group), face_ids[group[0]]))
    sums = np.zeros((len(groups), vectors.shape[1] if vectors.ndim > 1 else 0), np.float64)
    means = np.zeros_like(sums, np.float32)
    people: list[list[int]] = []
    for group in groups:
        total = vectors[group].sum(axis=0, dtype=np.float64)
        cosines = means[: len(people)] @ _unit(total).astype(np.float32)
        person = int(cosines.argmax()) if len(people) else 0
        if not people or cosines[person] < same_person:
            person = len(people)
            people.append([])
        people[person] += group
        sums[person] += total
        means[person] = _unit(sums[person])
    names = [""] * len(face_ids)
    for members in people:
        name = min(face_ids[index] for index in members)
        for index in members:
            names[index] = name
    return names


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9))
