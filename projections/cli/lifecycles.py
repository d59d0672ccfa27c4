"""``tracker lifecycles``: shows the declared lifecycles as tables or diagrams."""

from __future__ import annotations

import click

from projections.cli.options import TEXT
from tracker.errors import NotFoundError, did_you_mean


@click.command()
@click.argument("name", required=False)
@click.option(
    "--format", "format", type=click.Choice([TEXT, "mermaid", "dot"]), default=TEXT, show_default=True
)
def lifecycles(name: str | None, format: str) -> None:
    """Show the tables by which deliveries are judged.

    With NAME only that lifecycle is shown.
    """
    from projections.explain.diagrams import dot, mermaid, text
    from tracker.lifecycles import REGISTRY

    if name is not None and name not in REGISTRY:
        hint = did_you_mean(name, REGISTRY) or f"the lifecycles are {', '.join(REGISTRY)}"
        raise NotFoundError("no such lifecycle", place=name, hint=hint)
    draw = {TEXT: text, "mermaid": mermaid, "dot": dot}[format]
    chosen = [REGISTRY[name]] if name is not None else list(REGISTRY.values())
    drawn = [draw(lifecycle).rstrip("\n") + "\n" for lifecycle in chosen]
    if format == "mermaid" and len(drawn) > 1:  # one file can hold one diagram, or be Markdown
        drawn = [f"```mermaid\n{diagram}```\n" for diagram in drawn]
    click.echo("\n".join(drawn), nl=False)
