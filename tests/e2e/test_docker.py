"""What the doctor says of a real Docker Engine, where MLCONSOLE_TEST_DOCKER_HOST names one."""

import json
import os
import subprocess
import sys

import pytest

HOST = os.environ.get("MLCONSOLE_TEST_DOCKER_HOST", "")
pytestmark = [
    pytest.mark.real_docker,
    pytest.mark.skipif(not HOST, reason="no Docker Engine: MLCONSOLE_TEST_DOCKER_HOST is not set"),
]


def docker_check(tmp_path, host):
    """The doctor's finding on Docker, with nothing else configured."""
    environ = {**os.environ, "HOME": str(tmp_path), "KUBECONFIG": str(tmp_path / "none"), "DOCKER_HOST": host}
    command = [sys.executable, "-m", "mlconsole", "doctor", "--output", "json"]
    found = subprocess.run(command, env=environ, capture_output=True, check=False, timeout=90)
    checks = json.loads(found.stdout)["checks"]
    return next(check for check in checks if "docker" in check["what"].lower())


def test_the_doctor_finds_a_real_engine_and_its_version(tmp_path):
    found = docker_check(tmp_path, HOST)
    assert found["state"] == "OK", found
    assert any(part.isdigit() for part in found["words"].replace(".", " ").split()), found


def test_the_doctor_says_what_to_do_about_one_that_is_not_there(tmp_path):
    found = docker_check(tmp_path, "unix:///nonexistent/docker.sock")
    assert found["state"] != "OK", found
    assert found["hint"]
