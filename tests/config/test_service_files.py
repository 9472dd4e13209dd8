"""The examples in config/ are accepted by the tools that read them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CONFIG = Path(__file__).resolve().parents[2] / "config"
SLURM_SCRIPTS = sorted((CONFIG / "slurm").glob("*.sh"))


def needs(tool: str) -> pytest.MarkDecorator:
    """Skip where ``tool`` is not installed."""
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not installed")


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a tool with a plain environment and return what it said."""
    environ = {"PATH": "/usr/local/bin:/usr/bin:/bin", **variables}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environ)


@needs("systemd-analyze")
def test_systemd_unit_passes_verify(tmp_path: Path) -> None:
    """systemd reads the user unit without an error or a warning."""
    unit = str(CONFIG / "pixlogd.service")
    checked = run(
        "systemd-analyze", "verify", "--user", unit, XDG_RUNTIME_DIR=str(tmp_path), HOME=str(tmp_path)
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


@needs("bash")
@pytest.mark.parametrize("script", SLURM_SCRIPTS, ids=lambda path: path.name)
def test_slurm_script_parses(script: Path) -> None:
    """bash accepts the script, and it is executable as Slurm wants it."""
    checked = run("bash", "-n", str(script))
    assert (checked.returncode, checked.stderr) == (0, "")
    assert script.stat().st_mode & 0o111 == 0o111


@needs("shellcheck")
@pytest.mark.parametrize("script", SLURM_SCRIPTS, ids=lambda path: path.name)
def test_slurm_script_passes_shellcheck(script: Path) -> None:
    """shellcheck finds nothing in the script."""
    checked = run("shellcheck", str(script))
    assert (checked.returncode, checked.stdout) == (0, "")


def test_slurm_scripts_are_three() -> None:
    """A prolog, a task prolog and an epilog are there to be checked."""
    assert [path.name for path in SLURM_SCRIPTS] == ["epilog.sh", "prolog.sh", "task_prolog.sh"]


def test_kubernetes_example_shares_what_must_be_shared() -> None:
    """The manifest parses, and trainer and daemon have one user, one socket directory and one run volume."""
    yaml: Any = pytest.importorskip("yaml")
    pod = yaml.safe_load((CONFIG / "kubernetes" / "sidecar.yaml").read_text(encoding="utf-8"))
    spec = pod["spec"]["template"]["spec"]
    (daemon,), (trainer,) = spec["initContainers"], spec["containers"]
    assert daemon["volumeMounts"] == trainer["volumeMounts"]
    assert {mount["name"] for mount in daemon["volumeMounts"]} == {
        volume["name"] for volume in spec["volumes"]
    }
    assert "securityContext" not in daemon
    assert "securityContext" not in trainer
    socket = daemon["command"][daemon["command"].index("--socket") + 1]
    assert {"name": "PIXLOG_DAEMON", "value": socket} in trainer["env"]
    (drain_s,) = (float(entry["value"]) for entry in daemon["env"] if entry["name"] == "PIXLOG_DRAIN_S")
    assert drain_s < spec["terminationGracePeriodSeconds"]
