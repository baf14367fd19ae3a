"""What ``annotate up`` installs is locked, by hash."""

import re

from packaging.requirements import Requirement

from curate.annotation.local_server.install import LOCK, VERSION


def test_every_package_has_one_version_and_hashes():
    blocks = re.split(r"\n(?=[a-zA-Z])", LOCK.read_text())[1:]
    requirements = [Requirement(block.partition(" \\\n")[0]) for block in blocks]
    assert all(str(requirement.specifier).startswith("==") for requirement in requirements)
    assert len({requirement.name for requirement in requirements}) == len(requirements) > 100
    assert all(re.findall(r"--hash=sha256:[0-9a-f]{64}", block) for block in blocks)
    versions = {requirement.name: str(requirement.specifier) for requirement in requirements}
    assert versions["label-studio"] == f"=={VERSION}"
    assert "label-studio-sdk" in versions
