"""The compose file and the images: pinned, without rights, secrets by file, no name that nobody knows.

That the commands in it do what they should is tried in tests/acceptance/test_compose_commands.py.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.settings import Settings, misspelt

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if one["image"].startswith("dreamline:")}
DOCKERFILE = (DOCKER / "Dockerfile").read_text()


def test_the_services_of_the_issue_are_there() -> None:
    assert SERVICES.keys() >= {"postgres", "redis", "migrate", "gpu-worker", "cpu-worker", "dashboard", "metrics"}


@pytest.mark.parametrize("name", SERVICES)
def test_images_have_a_version(name: str) -> None:
    image = SERVICES[name]["image"]
    if name in OURS:
        target = image.removeprefix("dreamline:")
        assert f" AS {target}\n" in DOCKERFILE
        assert any(one.get("build", {}).get("target") == target for one in SERVICES.values())
    else:
        assert re.search(r":v?\d+\.\d+\.?\d*", image), image


def test_what_images_are_built_on_has_a_version() -> None:
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE))
    bases = {base for base in re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) if base not in stages}
    assert bases
    assert all(re.search(r":\d+\.\d+\.\d+-", base) for base in bases)
    steps = re.findall(r"^RUN (?:.*\\\n)*.*", DOCKERFILE, re.MULTILINE)
    installs = [step for step in steps if "pip install" in step]
    assert len(installs) == 5
    assert all("constraint" in line or "grep '^torch==' constraints.txt" in line for line in installs)


@pytest.mark.parametrize("name", OURS)
def test_our_services_have_no_rights(name: str) -> None:
    service = OURS[name]
    assert service["user"] == "10001:10001"
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True
    assert "no-new-privileges:true" in service["security_opt"]
    assert "privileged" not in service
    assert "USER 10001:10001" in DOCKERFILE


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting_and_can_be_read(name: str, tmp_path: Path) -> None:
    environ = dict(OURS[name]["environment"])
    assert misspelt(environ) == []
    (tmp_path / "database_url").write_text("postgresql://x")
    environ["DREAMLINE_DATABASE_URL_FILE"] = str(tmp_path / "database_url")
    assert Settings.from_env(environ).database_url == "postgresql://x"


@pytest.mark.parametrize("name", SERVICES)
def test_services_that_stay_say_whether_they_are_well(name: str) -> None:
    if SERVICES[name].get("restart") == "no":
        assert "healthcheck" not in SERVICES[name]
    else:
        assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


def test_secrets_are_files_and_nowhere_else() -> None:
    assert all(secret["file"].startswith("./secrets/") for secret in COMPOSE["secrets"].values())
    written = [str(value) for one in SERVICES.values() for value in one.get("environment", {}).values()]
    assert not [value for value in written if re.search(r"://[^/]*:[^/]*@", value)]
    assert "/docker/secrets/" in (ROOT / ".gitignore").read_text().splitlines()


def test_only_this_machine_reaches_the_ports() -> None:
    ports = [port for one in SERVICES.values() for port in one.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert {name for name, one in SERVICES.items() if "outside" in one["networks"]} == {"dashboard", "prometheus"}


def test_tables_are_migrated_before_anybody_needs_them() -> None:
    for name, service in OURS.items():
        if name != "migrate":
            assert service["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert SERVICES["migrate"]["depends_on"]["postgres"] == {"condition": "service_healthy"}


def test_the_build_context_holds_all_that_the_wheel_is_made_of() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    wanted = {*wheel["packages"], *wheel["force-include"], project["project"]["readme"], "LICENSE"}
    let_in = {
        line.removeprefix("!")
        for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    assert wanted <= let_in


def test_the_dockerfile_passes_its_linter() -> None:
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent)
    if hadolint is None:
        pytest.skip("hadolint has no build for this machine")
    done = subprocess.run([hadolint, DOCKER / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_docker_compose_reads_the_file() -> None:
    docker = shutil.which("docker-compose")
    if docker is None:
        pytest.skip("docker-compose is not installed")
    command = [docker, "--file", DOCKER / "compose.yaml", "--profile", "monitoring", "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
