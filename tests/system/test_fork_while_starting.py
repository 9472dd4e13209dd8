"""A child that is forked in the very moment in which another thread starts the daemon holds nobody up."""

from __future__ import annotations

from pathlib import Path

from scripts import run_script


def test_child_forked_while_the_daemon_is_started_does_not_hold_it_up(
    tmp_path: Path, run_dir: Path, runtime_dir: Path
) -> None:
    """The daemon is there long before such a child ends, which has no descriptor of the start."""
    ended = run_script(
        tmp_path / "script.py",
        """
        import os, signal, subprocess, sys, threading, time
        import pixlog

        make, made = subprocess._fork_exec, threading.Event()

        def make_slowly(*arguments):
            made.set()
            time.sleep(0.5)
            return make(*arguments)

        subprocess._fork_exec = make_slowly
        clients = []
        starter = threading.Thread(target=lambda: clients.append(pixlog.connect(sys.argv[1])))
        starter.start()
        made.wait()
        child = os.fork()
        if not child:
            signal.pause()
        starter.join(20)
        print("connected" if clients else "held up")
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        starter.join()
        clients[0].close()
        """,
        run_dir,
    )
    assert (ended.returncode, ended.stdout) == (0, "connected\n"), ended.stderr


def test_fork_does_not_wait_for_a_start_that_hangs(tmp_path: Path, run_dir: Path, runtime_dir: Path) -> None:
    """It waits a second at most, several threads fork meanwhile, and the next start finds the lock free."""
    ended = run_script(
        tmp_path / "script.py",
        """
        import os, subprocess, sys, threading
        import pixlog

        make, made, go = subprocess._fork_exec, threading.Event(), threading.Event()

        def make_later(*arguments):
            made.set()
            go.wait()
            return make(*arguments)

        def fork():
            child = os.fork()
            if not child:
                os._exit(0)
            os.waitpid(child, 0)

        subprocess._fork_exec = make_later
        starter = threading.Thread(target=lambda: pixlog.connect(sys.argv[1], timeout_s=30).close())
        starter.start()
        made.wait()
        forkers = [threading.Thread(target=fork) for _ in range(4)]
        for thread in forkers:
            thread.start()
        for thread in forkers:
            thread.join()
        print("forked")
        go.set()
        starter.join()
        fork()
        pixlog.connect(sys.argv[2]).close()
        """,
        run_dir,
        tmp_path / "other",
    )
    assert (ended.returncode, ended.stdout) == (0, "forked\n"), ended.stderr
