"""The README tells the truth: its blocks are run, its outputs compared, its table is the catalogue's.

``REGENERATE_GOLDEN=1 pytest tests/test_readme.py`` writes the outputs and the table anew.
"""

import json
import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest
import stores

from projections.explain.diagrams import mermaid
from tracker.judging.findings.catalogue import CATALOGUE
from tracker.lifecycles import REGISTRY
from tracker.rules import Rules

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
BIN = Path(sysconfig.get_path("scripts"))
BLOCK = re.compile(r"^```(bash|text|json|toml|mermaid)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SETUP = re.compile(r"^python3 -m venv \.venv && \.venv/bin/pip install --quiet \S+ &&\n")
TABLE = re.compile(r"(<!-- codes: .*? -->\n).*(<!-- /codes -->)", re.DOTALL)
SPARK = "--engine spark"
"""What is in a block that ``test_spark.py`` runs."""
REGENERATE = bool(os.environ.get("REGENERATE_GOLDEN"))


def blocks():
    return [(found[1], found[2], found.start(2)) for found in BLOCK.finditer(README.read_text("utf-8"))]


@pytest.fixture
def checkout(tmp_path):
    """A copy of the repository as a newcomer has it, with this environment as its .venv."""
    for name in ("tracker", "projections", "examples", "pyproject.toml", "README.md"):
        source = ROOT / name
        ignored = shutil.ignore_patterns("__pycache__")
        (
            shutil.copytree(source, tmp_path / name, ignore=ignored)
            if source.is_dir()
            else shutil.copy(source, tmp_path)
        )
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(BIN)
    return tmp_path


@pytest.mark.slow
def test_every_block_of_commands_works_and_prints_what_the_readme_says(checkout):
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    environment.pop("TRACKER_DATA", None)
    printed, wrong, text = "", [], README.read_text("utf-8")
    for kind, body, _ in blocks():
        if kind == "bash" and not of_a_server(body) and SPARK not in body and "pytest" not in body:
            # CI runs the set-up as it stands; here is the environment that it would make.
            command = SETUP.sub("", body)
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", command],
                cwd=checkout, env=environment, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert (done.returncode, command) == (0, command), done.stderr
            printed = done.stdout
        elif kind == "text" and body != printed:
            wrong.append((body, printed))
            text = text.replace(f"```text\n{body}```", f"```text\n{printed}```", 1)
    if REGENERATE:
        README.write_text(text, "utf-8")
    else:
        assert wrong == []


def of_a_server(body):
    return "postgresql://" in body


@pytest.mark.slow
def test_the_blocks_for_a_server_work(checkout, postgres):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRACKER_")}
    environment |= {
        "PATH": f"{BIN}:{postgres.bin}:{os.environ['PATH']}", "PGHOST": "127.0.0.1", "PGPORT": str(postgres.port),
        "PGUSER": "tracker", "PGPASSWORD": stores.PASSWORD,
    }  # fmt: skip
    commands = [body for kind, body, _ in blocks() if kind == "bash" and of_a_server(body)]
    assert len(commands) == 1
    for command in ("tracker ingest examples/bad_monday.jsonl", *commands):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=checkout, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, command) == (0, command), done.stderr
    assert done.stdout.count('"session_id":"fleet"') == 2
    assert "236 deliveries, 15 sessions" in done.stdout


def test_two_commands_do_all_the_set_up():
    commands = [body for kind, body, _ in blocks() if kind == "bash" and "pip install" in body]
    assert [bool(SETUP.match(body)) for body in commands] == [True, True]
    assert [re.findall("ingest|audit|pytest", body) for body in commands] == [["ingest", "audit"], ["pytest"]]


def test_every_sample_line_of_a_log_is_read_as_what_it_shows():
    from tracker.delivery.envelope import decode
    from tracker.delivery.webhook import parse

    lines = next(body for kind, body, _ in blocks() if kind == "json").splitlines()
    assert [parse(decode(line.encode())).type for line in lines] == ["recording-started"] * 3
    assert [json.loads(line) is not None for line in lines] == [True] * 3


def test_the_sample_configuration_is_valid(tmp_path):
    from tracker.config import load_config

    file = tmp_path / "tracker.toml"
    file.write_text(next(body for kind, body, _ in blocks() if kind == "toml"), "utf-8")
    rules = load_config(file).rules
    assert (rules.severity, rules.written()) == ({"S203": "info"}, Rules().written())
    assert set(Rules().written()) == set(re.findall(r"^(\w+) = ", file.read_text("utf-8"), re.MULTILINE)) - {
        "data",
        "S203",
        "S207",
    }
    assert rules.price_list == Rules().price_list


def test_the_sample_of_what_is_accepted_is_valid(tmp_path):
    from tracker.config import load_config

    file = tmp_path / "tracker.toml"
    _, sample = (body for kind, body, _ in blocks() if kind == "toml")
    file.write_text(sample, "utf-8")
    assert [entry.code for entry in load_config(file).rules.accept] == ["S203"]


def test_the_diagram_is_drawn_from_the_declaration():
    drawn = mermaid(REGISTRY["recording"])
    (body,) = [body for kind, body, _ in blocks() if kind == "mermaid"]
    if REGENERATE:
        README.write_text(
            README.read_text("utf-8").replace(f"```mermaid\n{body}```", f"```mermaid\n{drawn}```"), "utf-8"
        )
    else:
        assert body == drawn


def test_the_table_of_codes_is_the_catalogue():
    rows = ["| code | | severity | when |", "|---|---|---|---|"]
    rows += [f"| {code.code} | {code.slug} | {code.severity} | {code.when} |" for code in CATALOGUE.values()]
    table = "\n".join(rows) + "\n"
    text = README.read_text("utf-8")
    if REGENERATE:
        README.write_text(TABLE.sub(lambda found: found[1] + table + found[2], text), "utf-8")
    else:
        assert TABLE.search(text)[0].split("-->\n")[1].removesuffix("<!-- /codes -->") == table


def test_its_pictures_are_there_and_small():
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", README.read_text("utf-8"))
    sizes = [(ROOT / picture).stat().st_size for picture in pictures]
    assert len(sizes) == 2
    assert max(sizes) < 200_000
