"""Tell whose face it is: group the embeddings of face tracks, also across clips."""

import numpy as np
from numpy.typing import NDArray

SAME_PERSON = 0.4
"""Mean cosine of ArcFace vectors from which two groups of tracks are taken for one person."""


def group_faces(embeddings: NDArray[np.float32], *, same_person: float = SAME_PERSON) -> list[int]:
    """For each of n unit vectors (n, size) the number of its person, 0 for the first seen, by average linkage."""
    if len(embeddings) < 2:
        return [0] * len(embeddings)
    from scipy.cluster.hierarchy import fcluster, linkage

    tree = linkage(embeddings.astype(np.float64), method="average", metric="cosine")
    labels = fcluster(np.nan_to_num(tree), t=1 - same_person, criterion="distance").tolist()
    order = {label: place for place, label in enumerate(dict.fromkeys(labels))}
    return [order[label] for label in labels]
