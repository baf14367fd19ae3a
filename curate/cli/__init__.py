"""The command line: parse, one public call, print."""

import os
import sys


def main() -> None:
    """Run ``curate`` and end the process with its exit code."""
    from curate.cli.app import app
    from curate.cli.output import claim_stdout, error_document, show_error, show_json
    from curate.errors import CurateError

    if "--json" in sys.argv:
        claim_stdout()
    try:
        app(prog_name="curate")
    except CurateError as error:
        if "--json" in sys.argv:
            show_json(error_document(error))
        show_error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader (head, less) has closed the pipe; Python must not complain about it at shutdown.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
