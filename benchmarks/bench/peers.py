"""The other loggers, each in an environment of its own beside the project, made when it is missing."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).resolve().parents[2]
_INSTALL_S: Final = 600


@dataclass(frozen=True, slots=True)
class Peer:
    """A logger: what the pages call it, its contestant, what to install, and the package whose version counts."""

    name: str
    contestant: str
    requirements: tuple[str, ...]
    package: str
    directory: str

    @property
    def python(self) -> Path:
        """The interpreter of its environment."""
        return _ROOT / f".venv-bench-{self.directory}" / "bin/python"

    def is_installed(self) -> bool:
        """Whether its environment is there and has the package."""
        return self.python.exists() and bool(self.version())

    def version(self) -> str:
        """Return the version that is installed, or nothing."""
        program = f"from importlib.metadata import version; print(version({self.package!r}))"
        found = subprocess.run(
            [self.python, "-c", program], capture_output=True, text=True, check=False, timeout=60
        )
        return found.stdout.strip()

    def install(self) -> str | None:
        """Make the environment; return why that cannot be, or None when it is there."""
        if self.is_installed():
            return None
        commands = [
            [sys.executable, "-m", "venv", str(self.python.parent.parent)],
            [
                str(self.python),
                "-m",
                "pip",
                "--disable-pip-version-check",
                "-q",
                "install",
                *self.requirements,
            ],
        ]
        for command in commands:
            try:
                done = subprocess.run(
                    command, capture_output=True, text=True, check=False, timeout=_INSTALL_S
                )
            except (OSError, subprocess.TimeoutExpired) as exc:
                return f"cannot be installed here: {type(exc).__name__}"
            if done.returncode:
                said = done.stderr.strip().splitlines()
                return f"cannot be installed here: {said[-1][:120] if said else 'pip failed'}"
        return None if self.is_installed() else "cannot be installed here"


_IMAGES: Final = ("numpy", "pillow")

PEERS: Final = (
    Peer("wandb 0.31 offline", "wandb", ("wandb==0.31.*", *_IMAGES), "wandb", "wandb031"),
    Peer(
        "wandb 0.18 offline",
        "wandb",
        ("wandb==0.18.0", "numpy<2.3", "pillow<12", "setuptools<81"),
        "wandb",
        "wandb018",
    ),
    Peer("tensorboardX", "tensorboardX", ("tensorboardX", *_IMAGES), "tensorboardX", "tensorboardx"),
    Peer("MLflow, asynchronous", "mlflow", ("mlflow", *_IMAGES), "mlflow", "mlflow"),
    Peer("SwanLab offline", "swanlab", ("swanlab", *_IMAGES), "swanlab", "swanlab"),
    Peer("Trackio", "trackio", ("trackio", *_IMAGES), "trackio", "trackio"),
    Peer("DVCLive", "dvclive", ("dvclive", *_IMAGES), "dvclive", "dvclive"),
    Peer("Rerun, to a file", "rerun", ("rerun-sdk", *_IMAGES), "rerun-sdk", "rerun"),
)
BY_NAME: Final = {peer.name: peer for peer in PEERS}
