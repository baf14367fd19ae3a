"""What a corpus is called, what it is, who made it, how to cite it and whom to ask: said once, in its recipe."""

from typing import NamedTuple


class Credits(NamedTuple):
    """What the card, the citation file and the machine-readable description of a release say of its makers."""

    title: str = ""
    description: str = ""
    authors: tuple[str, ...] = ()
    """``Family name, given names``, or the name of an organisation"""
    citation: str = ""
    """A reference as text or BibTeX"""
    contact: str = ""
    """An e-mail address or a URL"""
