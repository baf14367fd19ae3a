"""The address of the annotation server and its key."""

import os
from pathlib import Path
from typing import NamedTuple

from curate.annotation.local_server import server
from curate.errors import InvalidInput, ServiceUnavailable


class Connection(NamedTuple):
    """An annotation server. ``name`` identifies it in the tables and stays when a local server changes its port."""

    url: str
    api_key: str
    local: bool
    name: str
    public_url: str = ""
    """The address for annotators, if it is another one."""

    @property
    def shown_url(self) -> str:
        """The address that people open."""
        return self.public_url or self.url


def is_configured(workspace_root: Path) -> bool:
    """Return whether an external server is configured, or the workspace's own is running."""
    external = os.environ.get("LABEL_STUDIO_URL") or os.environ.get("LABEL_STUDIO_API_KEY")
    return bool(external) or server.state(workspace_root) is not None


def connection(workspace_root: Path) -> Connection:
    """Return the server of ``LABEL_STUDIO_URL`` and ``LABEL_STUDIO_API_KEY``, else the workspace's own running one.

    The key is a legacy token or a personal access token. Raises ``ServiceUnavailable`` if there is neither.
    """
    url, key = (os.environ.get(name, "").strip() for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"))
    if url or key:
        if not url or not key:
            missing = "LABEL_STUDIO_API_KEY" if url else "LABEL_STUDIO_URL"
            raise InvalidInput(f"{missing} is not set", hint="an external Label Studio needs both its URL and a key")
        if not url.startswith(("http://", "https://")):
            raise InvalidInput(
                f"LABEL_STUDIO_URL is {url!r}, which is not a web address",
                hint="it must begin with http:// or https://",
            )
        return Connection(url.rstrip("/"), key, local=False, name=url.rstrip("/"))
    running = server.state(workspace_root)
    login = server.read_login(workspace_root)
    if running is None or login is None:
        raise ServiceUnavailable(
            "no annotation server is running",
            hint="start one with `curate annotate up`, or set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY",
        )
    return Connection(running.url, login.token, local=True, name=login.name, public_url=running.public_url)
