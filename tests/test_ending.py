"""SIGTERM ends what is under way only when what it has made for the time being is cleared away."""

import signal
import subprocess
import sys

import commands
import pytest
import stores
from waiting import BOUND, until

from projections.ending import cleared_by_sigterm

BLOCK = """
import os, signal
from projections.ending import cleared_by_sigterm
{before}
with cleared_by_sigterm():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        print("goes on")
    except BaseException as error:
        {on_the_way}
    finally:
        print("cleared")
print("behind")
"""


def ended(before="", on_the_way="raise"):
    done = subprocess.run(
        [sys.executable, "-c", BLOCK.format(before=before, on_the_way=on_the_way)],
        capture_output=True,
        text=True,
        check=False,
        timeout=BOUND,
    )
    return done.returncode, done.stdout.split("\n")[:-1]


@pytest.mark.parametrize("on_the_way", ["raise", "raise ValueError from error", "pass"])
def test_sigterm_clears_away_and_then_ends_the_process(on_the_way):
    code, printed = ended("import sys; sys.stdout.reconfigure(line_buffering=True)", on_the_way)
    assert (code, printed) == (-signal.SIGTERM, ["cleared"])


def test_who_handles_or_ignores_it_keeps_that():
    assert ended("signal.signal(signal.SIGTERM, signal.SIG_IGN)") == (0, ["goes on", "cleared", "behind"])


def test_behind_the_block_everything_is_as_before():
    before = signal.getsignal(signal.SIGTERM)
    with cleared_by_sigterm():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.slow
@pytest.mark.sqlite
def test_a_query_that_is_ended_leaves_no_directory(tmp_path):
    pytest.importorskip("duckdb")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    stores.opened(tmp_path / "data", create=True).close()
    query = "SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE a.range % 7 = b.range % 11"
    command = [sys.executable, "-m", "projections", "--data", str(tmp_path / "data"), "sql", query]
    environment = {**commands.without_settings(), "TMPDIR": str(scratch)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        until(lambda: any(scratch.iterdir()))
        running.terminate()
        assert running.communicate(timeout=BOUND) == (b"", b"")
    assert (running.returncode, list(scratch.iterdir())) == (-signal.SIGTERM, [])
