from curate.notebook.frames import aggregate as aggregate
from curate.notebook.frames import agreement as agreement
from curate.notebook.releases import load_release as load_release
from curate.notebook.runs import plan as plan
from curate.notebook.runs import run as run
from curate.notebook.workspace import CorpusFrames as CorpusFrames
from curate.notebook.workspace import open_workspace as open_workspace

__version__: str
