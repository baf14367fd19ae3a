"""Build human-corrected, traceable corpora for affective computing from raw video, audio and text.

Nothing heavy is imported before one of these names is used.
"""

__version__ = "0.1.0"

_ROOMS = {
    "CorpusFrames": "workspace",
    "agreement": "frames",
    "aggregate": "frames",
    "load_release": "releases",
    "open_workspace": "workspace",
    "plan": "runs",
    "run": "runs",
}
"""The module of ``curate.notebook`` that has each name"""
__all__ = [*_ROOMS]


def __getattr__(name: str) -> object:
    if name not in _ROOMS:
        raise AttributeError(f"module 'curate' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"curate.notebook.{_ROOMS[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
