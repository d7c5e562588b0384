"""The sample project of a PBX owner, `examples/test-my-pbx`, passes, in a pytest of its own and without what this project's has."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent / "examples" / "test-my-pbx"


@pytest.mark.sip
@pytest.mark.sipp
@pytest.mark.skipif(
    not shutil.which("kamailio", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or not shutil.which("baresip"),
    reason="kamailio or baresip is not installed: apt-get install kamailio baresip-core",
)
def test_ten_tests_pass(tmp_path):
    plugins = ["-p", "no:xdist", "-p", "no:asyncio", "-p", "no:timeout", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "-o", "sipp_missing=fail", "-W", "error", *plugins, f"--basetemp={tmp_path / 'pytest'}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "SIPCORE_"))}
    result = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "10 passed" in result.stdout
