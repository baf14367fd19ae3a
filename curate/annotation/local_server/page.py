"""A script of ours in the local server's pages; Label Studio's own settings stay as they are."""

from pathlib import Path

from curate.files import write_whole

SETTINGS_MODULE = "curate_settings"
_SETTINGS = '''"""Label Studio's settings, and the script that curate adds to its pages. Written anew at each start."""

from core.settings.base import *

# Label Studio reads its settings while it is still loading them.
SENTRY_DSN = FRONTEND_SENTRY_DSN = ""

from label_studio.core.settings.label_studio import *  # noqa: E402

MIDDLEWARE = [*MIDDLEWARE, "curate_page.insert_script"]
'''
_MIDDLEWARE = '''"""Inserts curate's script into each page. Written anew at each start."""

from pathlib import Path

_SCRIPT = b"<script>" + Path(__file__).with_name("page.js").read_bytes() + b"</script></body>"


def insert_script(get_response):
    def respond(request):
        response = get_response(request)
        is_page = response.get("Content-Type", "").startswith("text/html")
        if is_page and not response.streaming and b"</body>" in response.content:
            response.content = response.content.replace(b"</body>", _SCRIPT, 1)
            if response.has_header("Content-Length"):
                response["Content-Length"] = str(len(response.content))
        return response

    return respond
'''


def write_page_settings(folder: Path) -> Path:
    """Write the settings and the script into ``folder``, for the server's ``PYTHONPATH``, and return it."""
    folder.mkdir(exist_ok=True, mode=0o700)
    write_whole(folder / f"{SETTINGS_MODULE}.py", _SETTINGS)
    write_whole(folder / "curate_page.py", _MIDDLEWARE)
    write_whole(folder / "page.js", Path(__file__).with_name("page.js").read_text("utf-8"))
    return folder
