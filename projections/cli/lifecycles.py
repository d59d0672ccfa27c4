"""``tracker lifecycles``: shows the declared lifecycles as tables, diagrams or state machines."""

from __future__ import annotations

import click

from projections.cli.options import TEXT
from tracker.errors import NotFoundError, UsageError, did_you_mean

DRAWN = (TEXT, "mermaid", "dot")
MACHINES = ("pnml", "xstate", "scxml")


@click.command()
@click.argument("name", required=False)
@click.option("--format", "format", type=click.Choice([*DRAWN, *MACHINES]), default=TEXT, show_default=True)
def lifecycles(name: str | None, format: str) -> None:
    """Show the tables by which deliveries are judged.

    With NAME only that lifecycle is shown. pnml is a Petri net, on which `tracker export --format xes --by run` can be
    replayed; xstate (JSON) and scxml are state machines. These three are of one lifecycle.
    """
    from projections.explain import diagrams, machines
    from tracker.lifecycles import REGISTRY

    if name is not None and name not in REGISTRY:
        hint = did_you_mean(name, REGISTRY) or f"the lifecycles are {', '.join(REGISTRY)}"
        raise NotFoundError("no such lifecycle", place=name, hint=hint)
    if format in MACHINES:
        if name is None:
            raise UsageError(
                f"{format} is of one lifecycle", hint=f"tracker lifecycles recording --format {format}"
            )
        click.echo(getattr(machines, format)(REGISTRY[name]), nl=False)
        return
    draw = getattr(diagrams, format)
    chosen = [REGISTRY[name]] if name is not None else list(REGISTRY.values())
    drawn = [draw(lifecycle).rstrip("\n") + "\n" for lifecycle in chosen]
    if format == "mermaid" and len(drawn) > 1:  # one file can hold one diagram, or be Markdown
        drawn = [f"```mermaid\n{diagram}```\n" for diagram in drawn]
    click.echo("\n".join(drawn), nl=False)
