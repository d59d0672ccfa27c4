"""The documentation as tests read it: its pages, the blocks in them, and a checkout in which they are run.

Every block has a kind that says what is done with it: ``bash`` and ``python`` are run in the order of the page,
``text`` is what the block before it prints, ``json`` are lines of a log, ``toml`` is a configuration, ``js`` is
run where Node.js and Express are. ``mermaid`` is drawn from a declaration (``reference.py``).
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
from contextlib import suppress
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[1]
BIN = Path(sysconfig.get_path("scripts"))
README = ROOT / "README.md"
REFERENCE = ROOT / "examples" / "reference"
PAGES = {
    str(path.relative_to(ROOT)): path
    for path in (README, ROOT / "examples" / "README.md", *sorted(REFERENCE.glob("*.md")))
}
"""Every page, by its path from the top."""
SETUP = re.compile(r"^python3 -m venv \.venv && \.venv/bin/pip install --quiet \S+ &&\n")
"""How a set-up command begins; the environment that it would make is the one in which the tests run."""
COPIED = ("tracker", "projections", "examples", "pyproject.toml", "README.md")
_BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@attrs.frozen
class Block:
    """A fenced block: its kind, its text, and the offsets of that text in the page."""

    kind: str
    body: str
    begin: int
    end: int

    @property
    def is_of_a_server(self):
        """Whether it needs a PostgreSQL server."""
        return "postgresql://" in self.body

    @property
    def is_of_spark(self):
        return "--engine spark" in self.body

    @property
    def is_a_handler(self):
        """Whether it defines a web application, which does something only when it is asked."""
        return "@app.post(" in self.body

    @property
    def is_run(self):
        """Whether it is run in its turn on the page."""
        if self.kind == "bash":
            return not (self.is_of_a_server or self.is_of_spark or "pytest" in self.body)
        return self.kind == "python" and not self.is_a_handler


def blocks(path, kind=None):
    """The blocks of a page, or those of one kind, in their order."""
    found = [
        Block(one[1], one[2], one.start(2), one.end(2)) for one in _BLOCK.finditer(path.read_text("utf-8"))
    ]
    return [one for one in found if kind in (None, one.kind)]


def every_block(kind):
    """The name of the page and the block, of all blocks of a kind."""
    return [(name, block) for name, path in PAGES.items() for block in blocks(path, kind)]


def check_out(directory):
    """A copy of the repository as a newcomer has it, with this environment as its .venv."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, directory)
    (directory / ".venv").mkdir()
    (directory / ".venv" / "bin").symlink_to(BIN)
    return directory


def environment(**more):
    """What commands run under: this environment's programs, and no setting of the developer's own."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("TRACKER_")}
    return {**own, "PATH": f"{BIN}:{own['PATH']}", **more}


def run(block, directory, env):
    """What a block prints on stdout; it must end well."""
    command = ["bash", "-euo", "pipefail", "-c", SETUP.sub("", block.body)]
    if block.kind == "python":
        command = [sys.executable, "-c", block.body]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=directory, env=env, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as done:
        stdout, stderr = done.communicate()
        with suppress(ProcessLookupError):  # a block that failed may have left a server
            os.killpg(done.pid, signal.SIGTERM)
    assert (done.returncode, block.body) == (0, block.body), stderr
    return stdout


def prepare(path, directory, env):
    """The reference begins where the README's first command has left the store."""
    if path != README:
        run(blocks(README, "bash")[0], directory, env)


def rewritten(path, directory):
    """The page with what its blocks print now."""
    text, printed, changes, env = path.read_text("utf-8"), "", [], environment()
    prepare(path, directory, env)
    for block in blocks(path):
        if block.is_run:
            printed = run(block, directory, env)
        elif block.kind == "text":
            changes.append((block, printed))
    for block, output in reversed(changes):
        text = text[: block.begin] + output + text[block.end :]
    return text
