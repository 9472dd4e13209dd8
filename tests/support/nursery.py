"""Trainers to be killed: processes that are forked from one that has imported everything, so that they start at once.

Theory of operation
    A nursery is one process per test session.  It imports what programs need, connects to nothing, and forks one child
    for each plan that it reads.  The child is a process like any other: own pid, own process group, killed and waited
    for by pid.  What it says goes line by line into a file, by ``write(2)``, so all it said before a SIGKILL is there.

    A plan is JSON: ``program`` is "module:function" of ``tests/support``, called with the plan; ``said`` is the file.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import processes
from waiting import scaled_s, wait_until

Plan: TypeAlias = dict[str, Any]

_PRELOADED = ("numpy", "pixlog", "pixlog.client", "training", "subprocess", "hashlib", "multiprocessing")
_END_S = 20.0


@dataclass(slots=True)
class Trainer:
    """One child of a nursery, from the outside."""

    pid: int
    said_path: Path
    _nursery: Nursery
    _status: int | None = None
    _process: processes.Process | None = field(init=False)

    def __post_init__(self) -> None:
        self._process = processes.look_at(self.pid)

    def said(self) -> list[str]:
        """Return every whole line that it said so far."""
        return self.said_path.read_text().split("\n")[:-1]

    def said_after(self, word: str) -> list[str]:
        """Return what followed ``word`` in the lines that begin with it."""
        parts = [line.partition(" ") for line in self.said()]
        return [rest for first, _, rest in parts if first == word]

    def logged(self) -> list[tuple[str, int]]:
        """Return client and number of every call that returned."""
        return self.calls("logged")

    def calls(self, word: str) -> list[tuple[str, int]]:
        """Return client and number of every call of which it said ``word``."""
        return [(client, int(seq)) for client, seq in map(str.split, self.said_after(word))]

    def complaints(self) -> str:
        """Return what it wrote to stderr."""
        return self.said_path.with_suffix(".err").read_text()

    def wait_for(self, word: str, *, count: int = 1, timeout_s: float = 60.0) -> list[str]:
        """Wait until it said ``count`` lines that begin with ``word``."""

        def said_often() -> list[str]:
            alive = self.is_alive()  # before: what it says last, it says while it lives
            found = self.said_after(word)
            assert len(found) >= count or alive, f"it ended before saying {word!r}: {self.complaints()}"
            return found if len(found) >= count else []

        try:
            return wait_until(said_often, timeout_s=timeout_s, what=f"{count} × {word!r}", poll_s=0.002)
        except AssertionError as exc:
            last = "\n".join(self.complaints().splitlines()[-20:])
            raise AssertionError(f"{exc}; it said {self.said()[-3:]}, {last}") from None

    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process is not None and self._process.is_alive()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self._status is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL it and wait until it is gone."""
        self.send(signal.SIGKILL)
        self.wait()

    def wait(self, timeout_s: float = 120.0) -> int:
        """Wait until it ended and return its exit code, negative for a signal."""
        if self._status is None:
            wait_until(lambda: not self.is_alive(), timeout_s=timeout_s, what=f"the end of {self.pid}")
            self._status = self._nursery.reap(self.pid)
        return os.waitstatus_to_exitcode(self._status)

    def stats(self) -> dict[str, dict[str, Any]]:
        """Return the final counts of its clients by client id, as it said them."""
        said = [json.loads(line) for line in self.said_after("stats")]
        return {entry.pop("client"): entry for entry in said}


class Nursery:
    """The process that trainers are forked from, from the outside."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],  # without -P: its own directory is where the programs are
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.trainers: list[Trainer] = []

    def start(self, program: str, said: Path, **plan: Any) -> Trainer:
        """Start ``program`` as a process that says things into the file ``said``."""
        said.touch()
        said.with_suffix(".err").touch()
        environment = {name: value for name, value in os.environ.items() if name.startswith("PIXLOG_")}
        plan |= {"program": program, "said": str(said), "environment": environment}
        trainer = Trainer(self._ask(plan), said, self)
        self.trainers.append(trainer)
        return trainer

    def reap(self, pid: int) -> int:
        """Return the wait status of a trainer that has ended."""
        return self._ask({"reap": pid})

    def end_trainers(self) -> None:
        """Kill whatever is left of the trainers."""
        for trainer in self.trainers:
            if trainer._status is None:
                trainer.send(signal.SIGCONT)
                trainer.kill()
        self.trainers.clear()

    def close(self) -> None:
        """End the nursery."""
        with self._process as process:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(scaled_s(_END_S))

    def _ask(self, request: Plan) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        ready, _, _ = select.select([self._process.stdout], [], [], scaled_s(_END_S))
        assert ready, f"the nursery did not answer {request}"
        return int(self._process.stdout.readline())


class Speaker:
    """What a program says: whole lines, each one write."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def say(self, *words: object) -> None:
        """Say one line."""
        os.write(self._fd, (" ".join(map(str, words)) + "\n").encode())

    def say_json(self, word: str, value: object) -> None:
        """Say one line of a word and a JSON value."""
        self.say(word, json.dumps(value))


Program: TypeAlias = Callable[[Plan, Speaker], int | None]


def _live(plan: Plan) -> int:
    """Be the child: run the program and return the exit code."""
    os.setpgid(0, 0)
    os.environ.update(plan["environment"])
    stdin = os.open(os.devnull, os.O_RDWR)
    stderr = os.open(Path(plan["said"]).with_suffix(".err"), os.O_WRONLY | os.O_APPEND)
    for fd, target in ((stdin, 0), (stdin, 1), (stderr, 2)):
        os.dup2(fd, target)
    os.closerange(3, 64)
    speaker = Speaker(os.open(plan["said"], os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC))
    module, _, name = plan["program"].partition(":")
    program: Program = getattr(importlib.import_module(module), name)
    return program(plan, speaker) or 0


def _requests() -> Iterator[Plan]:
    for line in sys.stdin:
        yield json.loads(line)


def main() -> None:
    """Be the nursery: one answer on a line for each request on a line."""
    for name in _PRELOADED:
        importlib.import_module(name)
    answers = os.dup(1)
    for request in _requests():
        if "reap" in request:
            answer = os.waitpid(request["reap"], 0)[1]
        else:
            answer = os.fork()
            if not answer:
                # Like a script of its own: an error is shown, ``atexit`` runs, and the code is the script's.
                try:
                    code = _live(request)
                except BaseException:
                    traceback.print_exc()
                    code = 1
                _leave(code)
        os.write(answers, b"%d\n" % answer)


def _leave(code: int) -> None:
    import atexit

    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
