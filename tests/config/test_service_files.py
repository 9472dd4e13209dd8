"""The examples in config/ are accepted by the tools that read them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import processes
from waiting import scaled_s, wait_until

CONFIG = Path(__file__).resolve().parents[2] / "config"
SLURM_SCRIPTS = sorted((CONFIG / "slurm").glob("*.sh"))


def needs(tool: str) -> pytest.MarkDecorator:
    """Skip where ``tool`` is not installed."""
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not installed")


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a tool with a plain environment and return what it said."""
    environ = {"PATH": "/usr/local/bin:/usr/bin:/bin", **variables}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=scaled_s(60), env=environ
    )


@needs("systemd-analyze")
def test_systemd_unit_passes_verify(tmp_path: Path, runtime_dir: Path) -> None:
    """systemd reads the user unit without an error or a warning."""
    runtime_dir.mkdir()  # whose name is short enough for the sockets of every other unit
    unit = str(CONFIG / "pixlogd.service")
    checked = run(
        "systemd-analyze", "verify", "--user", unit, XDG_RUNTIME_DIR=str(runtime_dir), HOME=str(tmp_path)
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


@pytest.mark.skipif(os.geteuid() != 0, reason="Slurm runs these scripts as root")
@needs("setpriv")
def test_slurm_scripts_carry_daemon_through_job(runtime_dir: Path) -> None:
    """The prolog's daemon listens where the task prolog tells the tasks, and the epilog leaves nothing of it."""
    job = {
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_UID": str(os.geteuid()),
        "PIXLOG_SLURM_ROOT": str(runtime_dir),
        "PIXLOGD": str(Path(sys.executable).with_name("pixlogd")),
    }
    socket = runtime_dir / "7" / "pixlogd.sock"
    assert run(str(CONFIG / "slurm" / "prolog.sh"), **job).returncode == 0
    daemon = wait_until(lambda: processes.started_with("PIXLOG_RUNTIME_DIR", str(runtime_dir / "7")))[0]
    wait_until(socket.is_socket, timeout_s=30)
    assert run(str(CONFIG / "slurm" / "task_prolog.sh"), **job).stdout == f"export PIXLOG_DAEMON={socket}\n"
    assert run(str(CONFIG / "slurm" / "epilog.sh"), **job).returncode == 0
    wait_until(lambda: not daemon.is_alive())
    assert list(runtime_dir.iterdir()) == []


def test_slurm_prolog_lets_job_start_without_pixlogd(tmp_path: Path) -> None:
    """On a node where the daemon is not installed the prolog does nothing and succeeds."""
    job = {"SLURM_JOB_ID": "7", "SLURM_JOB_UID": "0", "PIXLOG_SLURM_ROOT": str(tmp_path), "PIXLOGD": "/none"}
    done = run(str(CONFIG / "slurm" / "prolog.sh"), **job)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
