"""Logging while the interpreter ends: what can still be saved is; nothing hangs, raises or changes the exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

import daemons
from accounting import check_accounts
from fault_plan import FaultPlan
from scripts import run_script

# Each logs some images numbered 0 to n - 1 of key "image" and prints how many of them must be saved.
_SCRIPTS = {
    "atexit handler of the program": """
        import atexit, sys
        import numpy as np, pixlog
        client = pixlog.connect(sys.argv[1])
        atexit.register(lambda: client.log_image("image", np.zeros((8, 8), np.uint8)))
        print(1)
        """,
    "atexit handler that runs after ours": """
        import atexit, sys
        import numpy as np
        atexit.register(lambda: print(client.log_image("late", np.zeros((8, 8), np.uint8)).state, file=sys.stderr))
        import pixlog
        client = pixlog.connect(sys.argv[1])
        client.log_image("image", np.zeros((8, 8), np.uint8))
        print(1)
        """,
    "destructor of a global": """
        import sys
        import numpy as np, pixlog
        client = pixlog.connect(sys.argv[1])
        class Last:
            pixels = np.zeros((8, 8), np.uint8)
            def __del__(self):
                client.log_image("late", self.pixels)
        last = Last()
        last.me = last
        other = Last()
        client.log_image("image", np.zeros((8, 8), np.uint8))
        print(1)
        """,
    "thread that outlives the main one": """
        import sys, threading, time
        import numpy as np, pixlog
        client = pixlog.connect(sys.argv[1])
        def work():
            threading.main_thread().join()
            for step in range(50):
                client.log_image("image", np.zeros((8, 8), np.uint8), step=step)
        threading.Thread(target=work).start()
        print(50)
        """,
    "daemon thread that never stops": """
        import sys, threading, time
        import numpy as np, pixlog
        client = pixlog.connect(sys.argv[1])
        def work():
            while True:
                client.log_image("other", np.zeros((8, 8), np.uint8))
                time.sleep(0.001)
        threading.Thread(target=work, daemon=True).start()
        for step in range(50):
            client.log_image("image", np.zeros((8, 8), np.uint8), step=step)
        print(50)
        """,
    "client that the program has forgotten, daemon killed": """
        import os, signal, sys
        import numpy as np, pixlog
        from pixlog.control import request
        from pixlog.rendezvous import socket_for
        def train():
            client = pixlog.connect(sys.argv[1])
            os.kill(request(socket_for(sys.argv[1]), "status", timeout_s=60)["pid"], signal.SIGKILL)
            for step in range(50):
                client.log_image("image", np.zeros((8, 8), np.uint8), step=step)
        train()
        print(50)
        """,
    "daemon thread in the middle of close()": """
        import os, signal, sys, threading, time
        import numpy as np, pixlog
        from pixlog.control import request
        from pixlog.rendezvous import socket_for
        from pixlog.sending import delivery
        client = pixlog.connect(sys.argv[1])
        daemon = request(socket_for(sys.argv[1]), "status", timeout_s=60)["pid"]
        os.kill(daemon, signal.SIGSTOP)
        for step in range(2000):
            client.log_image("image", np.zeros((8, 8), np.uint8), step=step, meta="m" * 3000)
        leave, leaving = delivery.leave_unsent, threading.Event()
        def leave_slowly(*args):
            leaving.set()
            time.sleep(0.3)
            leave(*args)
            os.kill(daemon, signal.SIGCONT)
        delivery.leave_unsent = leave_slowly
        threading.Thread(target=client.close, args=(0,), daemon=True).start()
        leaving.wait()
        print(2000)
        """,
    "os._exit": """
        import os, sys
        import numpy as np, pixlog
        client = pixlog.connect(sys.argv[1])
        for step in range(50):
            client.log_image("image", np.zeros((8, 8), np.uint8), step=step)
        print(50, flush=True)
        os._exit(0)
        """,
}


@pytest.mark.parametrize("what", _SCRIPTS)
def test_interpreter_end_loses_nothing_that_was_logged_in_time(
    plan: FaultPlan,
    tmp_path: Path,
    run_dir: Path,
    runtime_dir: Path,
    what: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Images logged before our own exit handler are saved; later ones are dropped with a warning, not an error."""
    monkeypatch.setenv("PIXLOG_IDLE_EXIT_S", "0.5")
    times = plan.repeats(suite=1, full=20)
    expected = saved = 0
    for number in range(times):
        run = run_dir / str(number)
        done = run_script(tmp_path / "script.py", _SCRIPTS[what], run)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        assert "ignored" not in done.stderr, done.stderr
        if "late" in _SCRIPTS[what]:
            assert "logged after close()" in done.stderr
        expected += int(done.stdout)
        daemons.wait_for_end(runtime_dir)
        rows = check_accounts(run).rows.values()
        saved += sum(row["key"] == "image" and row["state"] == "saved" for row in rows)
    plan.record(
        "15 odd moments",
        f"Logging at the interpreter's end: {what}",
        times=times,
        images=expected,
        lost=expected - saved,
    )
    assert saved == expected
