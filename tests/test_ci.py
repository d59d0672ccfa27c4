"""What ``.ci/run`` takes is written down, and comes from where everybody gets it."""

import json
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CI = ROOT / ".ci"

if not CI.exists():
    pytest.skip("not a checkout, so .ci is not here", allow_module_level=True)


def pins():
    lines = (CI / "constraints.txt").read_text("utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_python_package_is_pinned_by_name_and_version_alone():
    assert [line for line in pins() if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []


@pytest.mark.parametrize("extra", ["", "test", "lint", "fuzz", "browser", "postgres", "spark", "pandas"])
def test_every_package_that_it_asks_for_is_pinned(extra):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = project["optional-dependencies"][extra] if extra else project["dependencies"]
    pinned = {normal(line.partition("==")[0]) for line in pins()}

    assert {normal(re.match(r"[\w.-]+", one)[0]) for one in asked} - pinned == set()


def test_every_npm_package_is_locked_by_its_digest_and_names_no_other_registry_than_the_public_one():
    lock = json.loads((CI / "package-lock.json").read_text("utf-8"))
    packages = {place: one for place, one in lock["packages"].items() if place}
    elsewhere = [one["resolved"] for one in packages.values() if "resolved" in one]

    assert [place for place, one in packages.items() if not one["integrity"].startswith("sha512-")] == []
    assert [one for one in elsewhere if not one.startswith("https://registry.npmjs.org/")] == []


def test_the_lock_is_that_of_what_is_asked_for():
    asked = json.loads((CI / "package.json").read_text("utf-8"))["dependencies"]
    locked = json.loads((CI / "package-lock.json").read_text("utf-8"))["packages"]

    assert {name: locked[f"node_modules/{name}"]["version"] for name in asked} == asked
