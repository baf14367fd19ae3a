"""Where the local server listens, and under which address annotators reach it."""

import ipaddress
from typing import NamedTuple
from urllib.parse import urlsplit

from curate.errors import InvalidInput

LOOPBACK = "127.0.0.1"


class Address(NamedTuple):
    """``host`` and ``port`` (None for any) to listen on; ``public_url`` is empty if annotators work on this machine."""

    host: str = LOOPBACK
    port: int | None = None
    public_url: str = ""

    @property
    def own_host(self) -> str:
        """The host under which this machine itself reaches the server."""
        return LOOPBACK if self.host in ("0.0.0.0", "localhost") else self.host  # noqa: S104

    @property
    def environment(self) -> dict[str, str]:
        """The settings of Label Studio that depend on the address of the annotators."""
        public = urlsplit(self.public_url)
        hosts = dict.fromkeys((LOOPBACK, "localhost", self.own_host, *filter(None, [public.hostname])))
        settings = {"LABEL_STUDIO_ALLOWED_HOSTS": ",".join(hosts)}
        if self.public_url:
            settings["LABEL_STUDIO_CSRF_TRUSTED_ORIGINS"] = self.public_url
        if public.scheme == "https":
            settings |= {"LABEL_STUDIO_SESSION_COOKIE_SECURE": "1", "LABEL_STUDIO_CSRF_COOKIE_HTTPONLY": "0"}
        return settings


def parse_address(listen: str | None, public_url: str | None) -> Address:
    """Return the address that ``HOST:PORT`` and an URL say; without them, this machine alone and any port.

    Raises ``InvalidInput`` for what cannot be listened on, a URL with more than scheme, host and port, and a server
    that others could reach, but whose address they are not told.
    """
    host, port = _parse_listen(listen) if listen is not None else (LOOPBACK, None)
    url = _parse_url(public_url) if public_url is not None else ""
    if host not in (LOOPBACK, "localhost") and not url:
        raise InvalidInput(
            f"annotators need to know where {listen} can be reached",
            hint="add --public-url, such as https://labels.example.org",
        )
    return Address(host, port, url)


def _parse_listen(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isascii() or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise InvalidInput(f"{listen!r} is not HOST:PORT", hint="such as 0.0.0.0:8080, or 127.0.0.1:8080")
    try:
        is_known = host == "localhost" or ipaddress.ip_address(host).version == 4
    except ValueError:
        is_known = False
    if not is_known:
        raise InvalidInput(f"{host!r} is not an IPv4 address of this machine", hint="0.0.0.0 listens on all of them")
    return host, int(port)


def _parse_url(public_url: str) -> str:
    url = public_url.rstrip("/")
    try:
        parts = urlsplit(url)
        is_plain = f"{parts.scheme}://{parts.netloc}" == url and "@" not in parts.netloc
        is_valid = is_plain and parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_valid = False
    if not is_valid:
        raise InvalidInput(
            f"{public_url!r} is not the address of a server: scheme, host, and perhaps a port",
            hint="such as https://labels.example.org; a path below another site is not possible",
        )
    return url
