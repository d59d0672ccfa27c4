"""What others wrote and is shipped with the program: where it came from, that it is unchanged, and its licence."""

import hashlib
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
STATIC = ROOT / "projections" / "web" / "static"
ROW = re.compile(r"^\| `(\S+)` \| \S+ \S+, \S+ \| (\S+) \| `(\w{64})` \|$", re.MULTILINE)
OURS = {"pages.css", "pages.js", "icon.svg", "ORIGIN.md"}


def rows():
    return ROW.findall((STATIC / "ORIGIN.md").read_text("utf-8"))


def test_every_file_that_is_not_ours_is_named_with_its_origin_and_has_the_digest_it_had_there():
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in STATIC.iterdir()}
    assert {name: digest for name, _, digest in rows()} == {
        name: digest for name, digest in found.items() if name not in OURS
    }


def test_its_licences_are_those_of_the_project_too():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["license"].split(" AND ") == ["Apache-2.0", *sorted({licence for _, licence, _ in rows()})]
    assert [name for name in project["license-files"] if not (ROOT / name).exists()] == []
    assert project["license-files"] == ["LICENSE", "projections/web/static/htmx.LICENSE"]
