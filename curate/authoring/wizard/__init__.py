"""A recipe for a folder or table: what is there, what its columns mean, and the files to write."""

from curate.authoring.wizard.propose import Proposal, propose
from curate.authoring.wizard.write import write_proposal

__all__ = ["Proposal", "propose", "write_proposal"]
