"""Help that is as wide as the terminal and cuts no sentence."""

from typing import Any

from typer.core import TyperGroup

MAX_HELP_WIDTH = 200


class WholeHelp(TyperGroup):
    """A group of commands whose help shows the whole first paragraph of each command's help."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """See ``click.Group.format_commands``."""
        commands = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        rows = [
            (name, " ".join((command.help or "").partition("\n\n")[0].split()))
            for name, command in commands
            if command is not None and not command.hidden
        ]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)
