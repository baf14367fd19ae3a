"""``curate doctor``: what is present on this machine, what it gives, and how to get what is missing."""

from curate.cli.options import Json


def doctor_command(json: Json = False) -> None:
    """Show which programs, packages, models and keys are present, what each gives, and how to get the others."""
    from curate.cli.output import say, show_json, show_table
    from curate.pipeline.doctor import examine

    findings = examine()
    if json:
        show_json([finding._asdict() for finding in findings])
        return
    rows = [("yes" if f.present else "no", f.name, f.gives, f.detail if f.present else f.get) for f in findings]
    show_table(["", "what", "gives", "where, or how to get it"], rows)
    missing = [f.name for f in findings if f.needed and not f.present]
    say(f"\nNeeded and missing: {', '.join(missing)}" if missing else "\nAll that `curate demo` needs is here.")
