"""The reference says what the code says, and nothing public is left out of it.

``python tests/reference.py --write`` writes it anew.
"""

import re
from datetime import timedelta

import click
import pytest
import reference
from documents import PAGES
from reference import EXPLAINED, GENERATED

import tracker
from projections import cli
from projections.views.database import SQL_VIEWS, TABLES
from projections.web import api
from tracker.accept import Acceptance
from tracker.config import SETTINGS
from tracker.judging.findings.catalogue import CATALOGUE
from tracker.judging.prices import PRICES
from tracker.lifecycles import REGISTRY
from tracker.rules import Rules

TABLES_OF_PAGES = [
    (name, title, text) for name, path in PAGES.items() for title, text in reference.tables_in(path)
]
TEXT = "".join(path.read_text("utf-8") for path in PAGES.values())


@pytest.mark.parametrize(("page", "title", "text"), TABLES_OF_PAGES)
def test_a_table_says_what_the_code_says(page, title, text):
    assert text == reference.made(title, text)


def test_datasette_says_of_each_column_what_the_page_says():
    assert reference.DATASETTE.read_text("utf-8") == reference.datasette()


def test_every_table_that_can_be_made_stands_on_a_page():
    assert {title for _, title, _ in TABLES_OF_PAGES} == {*GENERATED, *EXPLAINED}


@pytest.mark.parametrize(("page", "title", "text"), [one for one in TABLES_OF_PAGES if one[1] in EXPLAINED])
def test_every_row_says_what_it_means(page, title, text):
    assert [name for name, meaning in reference.meanings(text).items() if not meaning] == []


# -- nothing public is undocumented ----------------------------------------------------------------


def commands():
    for name, command, _ in reference.every_command():
        yield name, command


def sections(page):
    """Heading -> text of the sections of a page."""
    parts = re.split(r"^### (.+)$", PAGES[page].read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def names():
    """Everything that a user may write or read, as it must stand on a page."""
    yield from (f"**{code}** {entry.slug}" for code, entry in CATALOGUE.items())
    variables = reference.environment_variables()
    for known in (PRICES, Rules().written(), SETTINGS, SQL_VIEWS, variables, tracker.__all__):
        yield from (f"`{name}`" for name in known)
    yield from (f"`{name}`" for name in Acceptance.__struct_fields__)
    yield from (f"`{table.name}.{column}`" for table in TABLES for column in table.columns)
    yield from (f"`{method} {path}`" for method, path in reference.server().routes)
    yield from (f"`{one.name}`" for operation in api.OPERATIONS for one in operation.parameters)
    yield from (f"`{name}`" for name in reference.server().metrics)
    yield from (f"`{one.webhook_type(step.name)}`" for one in REGISTRY.values() for step in one.steps)


def test_nothing_public_is_undocumented():
    assert sorted({name for name in names() if name not in TEXT}) == []


def test_every_command_is_documented_with_its_options():
    pages = sections("examples/reference/commands.md")
    shared = {one.name for one in cli.tracker.params}
    missing = [
        (name, option)
        for name, command in commands()
        for one in command.params
        for option in one.opts
        if isinstance(one, click.Option) and one.name not in shared and option not in pages.get(name, "")
    ]
    assert missing == []
    assert [option for one in cli.tracker.params for option in one.opts if f"`{option}" not in TEXT] == []
    assert {name for name, _ in commands()} - set(pages) == set()


def test_a_default_that_is_said_in_words_stands_in_the_table_in_these_words():
    spoken = click.Option(["--for"], default=timedelta(), show_default="nothing", help="How long.")
    assert "| `--for TEXT` | nothing | How long. |" in reference.options(
        [spoken], click.Context(click.Command("x"))
    )


def test_a_public_name_that_no_page_has_is_found():
    """The test above would see it."""
    assert "`TRACKER_UNHEARD_OF`" not in TEXT
