"""Where the local server listens: on this machine alone, unless somebody says how others reach it."""

from pathlib import Path

import pytest

from curate.annotation.local_server.address import Address, parse_address
from curate.annotation.local_server.connection import Connection
from curate.annotation.local_server.process import Credentials, _environment
from curate.errors import InvalidInput


def test_default_is_this_machine_alone() -> None:
    assert parse_address(None, None) == Address("127.0.0.1", None, "")


def test_annotators_at_other_desks_are_served_through_a_proxy(tmp_path: Path) -> None:
    address = parse_address("127.0.0.1:8080", "https://labels.example.org/")
    assert address == Address("127.0.0.1", 8080, "https://labels.example.org")
    login = Credentials("a@example.com", "p", "t", "n")
    environment = _environment(tmp_path, tmp_path / "data", address, login)
    assert environment["LABEL_STUDIO_HOST"] == "https://labels.example.org"
    assert environment["LABEL_STUDIO_CSRF_TRUSTED_ORIGINS"] == "https://labels.example.org"
    assert environment["LABEL_STUDIO_SESSION_COOKIE_SECURE"] == "1"
    assert set(environment["LABEL_STUDIO_ALLOWED_HOSTS"].split(",")) == {"127.0.0.1", "localhost", "labels.example.org"}
    assert (tmp_path / "page" / "page.js").is_file()
    assert parse_address("0.0.0.0:80", "http://10.0.0.7").own_host == "127.0.0.1"


def test_links_for_people_have_the_public_address() -> None:
    reach = Connection("http://127.0.0.1:8080", "key", local=True, name="local-1")
    assert reach.shown_url == "http://127.0.0.1:8080"
    assert reach._replace(public_url="https://labels.example.org").shown_url == "https://labels.example.org"


@pytest.mark.parametrize(
    ("listen", "url", "says"),
    [
        ("8080", None, "not HOST:PORT"),
        ("0.0.0.0:0", "https://a.example", "not HOST:PORT"),
        ("0.0.0.0:٨٠٨٠", "https://a.example", "not HOST:PORT"),
        ("labels.example.org:80", "https://a.example", "not an IPv4 address"),
        ("0.0.0.0:8080", None, "need to know where"),
        (None, "labels.example.org", "not the address of a server"),
        (None, "https://a.example/labels", "not the address of a server"),
        (None, "https://user:word@a.example", "not the address of a server"),
        (None, "ftp://a.example", "not the address of a server"),
        (None, "https://a.example:99999", "not the address of a server"),
    ],
)
def test_addresses_that_cannot_be(listen: str | None, url: str | None, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        parse_address(listen, url)
