"""What is imported is declared, within bounds that were tried, and pinned for CI."""

import ast
import importlib.metadata
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
REQUIREMENTS = [
    requirement
    for line in [*PROJECT["dependencies"], *(line for lines in EXTRAS.values() for line in lines)]
    if canonicalize_name((requirement := Requirement(line)).name) != "curate"
]


def applies(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate()


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = [Requirement(line) for line in lines if not line.startswith("#")]
    return {pin.name: str(pin.specifier).removeprefix("==") for pin in pinned if applies(pin)}


def test_what_is_imported_is_declared():
    packages = importlib.metadata.packages_distributions()
    declared = {canonicalize_name(requirement.name) for requirement in REQUIREMENTS}
    undeclared = set()
    for path in (ROOT / "curate").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            for top in {name.partition(".")[0] for name in names} - {"curate", *sys.stdlib_module_names}:
                sources = {canonicalize_name(name) for name in packages.get(top, [top])}
                if not sources & declared:
                    undeclared.add(top)
    assert undeclared == set()


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_requirements_are_bounded_and_pinned_within_their_bounds(requirement):
    assert {part.operator for part in requirement.specifier} & {"<", "=="}, "no upper bound"
    if applies(requirement):
        assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)])
