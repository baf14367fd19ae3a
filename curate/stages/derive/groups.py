"""Groups of derived items that share a parent's group or anything else that no two splits may share."""

from collections.abc import Sequence


def connected_groups(ties: Sequence[Sequence[str]]) -> list[str]:
    """Return for each list of names the least name that it is connected with over shared names."""
    above: dict[str, str] = {}

    def least(name: str) -> str:
        path = []
        while (parent := above.setdefault(name, name)) != name:
            path.append(name)
            name = parent
        above.update(dict.fromkeys(path, name))
        return name

    for names in ties:
        roots = sorted({least(name) for name in names})
        above.update(dict.fromkeys(roots, roots[0]))
    return [least(names[0]) for names in ties]
