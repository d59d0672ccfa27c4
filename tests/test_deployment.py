"""What runs it for years: the image, compose, Kubernetes, systemd, nginx. Each is tried as far as it goes without a cluster."""

import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tomllib
from contextlib import closing, contextmanager
from http.client import HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

import attrs
import click
import ports
import pytest
import yaml
from meetings import webhook
from served import served
from traffic import serving
from waiting import BOUND, until

from projections import cli
from projections.web.health import routes as health
from tracker.config import load_config

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
KUBERNETES = EXAMPLES / "kubernetes"
DOCKERFILE = (EXAMPLES / "Dockerfile").read_text("utf-8")


def is_command(arguments):
    """The parameters of ``tracker`` with these arguments, as its own parser reads them."""
    name, *rest = arguments
    command = cli.tracker.get_command(click.Context(cli.tracker), name)
    return command.make_context(name, rest).params


def program(name):
    """Skips where it is not installed; CI says that it must be."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None and f"TRACKER_TESTS_NEED_{name.upper().replace('-', '_')}" not in os.environ:
        pytest.skip(f"{name} is not installed")
    return found


# The image


def test_all_that_the_image_is_made_of_is_there():
    sources = [
        name
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
        for name in line.split()
    ]
    assert [name for name in sources if not (ROOT / name).exists()] == []
    extras = re.search(r"/src\[(.*)\]", DOCKERFILE)[1].split(",")
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert set(extras) <= declared.keys()


def test_the_image_serves_by_itself():
    asked = is_command(json.loads(re.search(r"^CMD (\[.*\])", DOCKERFILE, re.MULTILINE)[1]))
    assert f"EXPOSE {asked['port']}\n" in DOCKERFILE
    assert f"127.0.0.1:{asked['port']}{health[0].path}'" in DOCKERFILE


def test_the_image_is_healthy_when_the_server_is_ready_and_else_not(tmp_path):
    _, *command = json.loads(re.search(r"^HEALTHCHECK .* CMD (\[.*\])", DOCKERFILE, re.MULTILINE)[1])

    def checked(port):
        arguments = [one.replace(":8000", f":{port}") for one in command]
        return subprocess.run([sys.executable, *arguments], capture_output=True, check=False).returncode

    with served(tmp_path) as server:
        assert checked(server.port) == 0
    assert checked(server.port) == 1


def test_compose_builds_that_image():
    compose = yaml.safe_load((EXAMPLES / "compose.yaml").read_text("utf-8"))
    for name in ("init", "receiver", "reader-1", "reader-2"):
        build = compose["services"][name]["build"]
        assert (EXAMPLES / build["context"] / build["dockerfile"]).samefile(EXAMPLES / "Dockerfile")


# Kubernetes


def manifests():
    for name in yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text("utf-8"))["resources"]:
        yield from yaml.safe_load_all((KUBERNETES / name).read_text("utf-8"))


def pods():
    return [one["spec"]["template"]["spec"] for one in manifests() if "template" in one.get("spec", {})]


def containers():
    return [one for pod in pods() for one in (*pod.get("initContainers", ()), *pod["containers"])]


def test_what_runs_on_kubernetes_are_commands():
    roles = [is_command(one["args"]).get("role") for one in containers()]
    assert roles == [None, "receiver", "reader"]


def test_what_kubernetes_asks_a_server_is_a_route():
    probes = [one[kind]["httpGet"]["path"] for one in containers() for kind in one if kind.endswith("Probe")]
    assert set(probes) == {"/healthz", "/readyz"}


def test_every_volume_that_is_mounted_is_there():
    for pod in pods():
        mounted = {one["name"] for container in pod["containers"] for one in container["volumeMounts"]}
        assert mounted - {one["name"] for one in pod["volumes"]} <= {"data"}


def test_the_configuration_on_kubernetes_is_one():
    (alert,) = load_config(KUBERNETES / "tracker.toml").alerts
    assert urlsplit(alert.to).scheme == "https"


def test_kustomize_makes_manifests_of_it(tmp_path):
    kubectl = program("kubectl")
    place = shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    for name in ("videosdk.pem", "hooks.secret", "secrets.env"):
        (place / name).touch()
    done = subprocess.run(
        [kubectl, "kustomize", place], capture_output=True, text=True, check=False, timeout=BOUND
    )
    assert done.returncode == 0, done.stderr
    made = list(yaml.safe_load_all(done.stdout))
    names = {one["metadata"]["name"] for one in made if one["kind"] in ("ConfigMap", "Secret")}
    used = set(re.findall(r"(?:name|secretName): (tracker(?:-files)?-[0-9a-z]{10})\b", done.stdout))
    assert used == names
    assert {one["kind"] for one in made} >= {"Deployment", "StatefulSet", "Service"}


# systemd


@pytest.mark.parametrize("command", [["verify", "--man=no"], ["security", "--offline=true", "--threshold=20"]])
def test_systemd_has_nothing_against_the_unit(tmp_path, command):
    analyze = program("systemd-analyze")
    unit = tmp_path / "tracker.service"
    unit.write_text((EXAMPLES / unit.name).read_text("utf-8").replace("/opt/tracker/bin/tracker", "/bin/true"))
    done = subprocess.run([analyze, *command, unit], capture_output=True, text=True, check=False, timeout=BOUND)
    assert (done.returncode, done.stderr) == (0, "")


# nginx


@contextmanager
def behind_nginx(place, port):
    """nginx as the example has it before a server at this port; gives its own port."""
    nginx = program("nginx")
    own = ports.free()
    subject = [
        "-subj",
        "/CN=tracker.example.org",
        "-keyout",
        place / "tracker.key",
        "-out",
        place / "tracker.crt",
    ]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject], capture_output=True, check=True
    )
    site = (EXAMPLES / "nginx.conf").read_text("utf-8")
    ours = {
        "443 ssl": f"127.0.0.1:{own} ssl",
        "127.0.0.1:8000": f"127.0.0.1:{port}",
        "/etc/nginx/": f"{place}/",
    }
    for name, other in ours.items():
        assert name in site
        site = site.replace(name, other)
    paths = "".join(
        f"{one}_temp_path {place}/{one}; " for one in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole = f"daemon off; pid {place}/pid; error_log {place}/log; events {{}} http {{ access_log off; {paths} {site} }}"
    (place / "whole.conf").write_text(whole)
    process = subprocess.Popen([nginx, "-p", place, "-c", place / "whole.conf"], stderr=subprocess.PIPE)
    try:
        until(lambda: (place / "pid").exists() or process.poll() is not None)
        assert process.poll() is None, process.stderr.read()
        yield own
    finally:
        process.terminate()
        process.communicate()


@attrs.frozen
class Site:
    """What somebody reaches through nginx."""

    port: int

    def ask(self, path, method="GET", body=None):
        context = ssl._create_unverified_context()
        with closing(HTTPSConnection("127.0.0.1", self.port, timeout=BOUND, context=context)) as connection:
            connection.request(method, path, body, {"host": "tracker.example.org"})
            answer = connection.getresponse()
            return answer.status, answer.read()


@pytest.mark.slow
def test_behind_nginx_webhooks_come_in_and_the_pages_lead_to_each_other(tmp_path):
    options = ("--insecure-no-verify", "--root-path", "/tracker", "--allow-host", "tracker.example.org")
    with (
        serving(tmp_path / "data", *options) as server,
        behind_nginx(tmp_path, urlsplit(server.url).port) as port,
    ):
        site = Site(port)
        body = webhook("session-started", sessionId="s", meetingId="m")
        assert site.ask("/tracker/webhooks", "POST", body)[0] == 204
        until(lambda: b"/tracker/sessions/s" in site.ask("/tracker/sessions")[1])
        assert site.ask("/tracker/sessions/s")[0] == 200
