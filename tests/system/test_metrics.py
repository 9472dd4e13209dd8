"""The daemon's numbers for Prometheus: the same as the client's and the status command's, and off by default."""

from __future__ import annotations

import re
import socket
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest

import daemons
import pixlog
from pixlog.rendezvous import socket_for
from pixlogd.config.setting_kinds import Address
from pixlogd.metrics import metrics_text
from pixlogd.tally import LATENCY_BOUNDS_S, Histogram
from waiting import scaled_s, wait_until

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
_SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\]|\\.)*",?)+)\})? ([-+0-9.e]+)')
_LABEL = re.compile(r'([a-z]+)="((?:[^"\\]|\\.)*)"')


def ask(address: str, line: str = "GET /metrics HTTP/1.1") -> tuple[str, str]:
    """Send one request; return the first line of the answer and its body."""
    if address.startswith("/"):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(address)
    else:
        host, _, port = address.rpartition(":")
        sock = socket.create_connection((host, int(port)), timeout=scaled_s(5))
    with sock:
        sock.settimeout(scaled_s(5))
        sock.sendall(f"{line}\r\nHost: x\r\n\r\n".encode())
        answer = b""
        while chunk := sock.recv(65536):
            answer += chunk
    head, _, body = answer.decode().partition("\r\n\r\n")
    return head.splitlines()[0], body


def parse(text: str) -> Samples:
    """Parse the text format strictly: every line is a comment or one sample."""
    samples: Samples = {}
    for line in text.splitlines():
        if not line.startswith(("# HELP pixlog_", "# TYPE pixlog_")):
            match = _SAMPLE.fullmatch(line)
            assert match, line
            samples[match[1], frozenset(_LABEL.findall(match[2] or ""))] = float(match[3])
    return samples


@pytest.fixture(params=["unix", "port"])
def address(request: pytest.FixtureRequest, tmp_path: Path, runtime_dir: Path) -> str:
    """Return where the daemon is to give its numbers."""
    if request.param == "unix":
        return f"{runtime_dir}.metrics"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def test_metrics_say_what_client_and_status_say(
    run_dir: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """Counts by end and reason, bytes, queues and latencies are the same wherever they are said."""
    monkeypatch.setenv("PIXLOG_METRICS", address)
    with pixlog.connect(run_dir, buffer_bytes="64KiB", on_full="drop_newest") as client:
        for step in range(5):
            client.log_image("a", np.zeros((8, 9, 3), np.uint8), step=step)
        client.log_image("too large", np.zeros((200, 200, 3), np.uint8))
        client.log_image("no image", object())
        assert client.flush(scaled_s(30)) == 0
        stats = client.stats()
        (run,) = daemons.status_of(run_dir)["runs"]
        status, body = ask(address)
    assert status == "HTTP/1.1 200 OK"
    samples = parse(body)
    labels = frozenset({("run", str(run_dir))})

    def sample(name: str, **more: str) -> float:
        return samples[name, labels | frozenset(more.items())]

    assert (stats.accepted, stats.saved, stats.failed, stats.dropped) == (7, 5, 1, 1)
    for end in ("saved", "failed", "dropped"):
        assert sample("pixlog_ended_calls_total", state=end) == getattr(stats, end) == run[end]
    assert sample("pixlog_accepted_calls_total") == stats.accepted == run["accepted"]
    assert sample("pixlog_accepted_bytes_total") == stats.nbytes == run["accepted_bytes"]
    assert sample("pixlog_written_bytes_total") == run["bytes"]
    for end, reasons in (("failed", stats.failed_reasons), ("dropped", stats.dropped_reasons)):
        assert run[f"{end}_reasons"] == dict(reasons)
        for reason, count in reasons.items():
            assert sample(f"pixlog_{end}_calls_total", reason=reason) == count
    assert sample("pixlog_connected_clients") == 1
    assert samples["pixlog_worker_processes", frozenset()] == 0
    assert sample("pixlog_queued_calls", client=client.id, rank="0") == run["queued"] == stats.pending == 0
    for name in ("encode", "write"):
        assert (
            sample(f"pixlog_{name}_seconds_count") == sample(f"pixlog_{name}_seconds_bucket", le="+Inf") == 5
        )
        buckets = [sample(f"pixlog_{name}_seconds_bucket", le=str(bound)) for bound in LATENCY_BOUNDS_S]
        said = run[f"{name}_latency"]
        assert buckets == list(accumulate(said["counts"][:-1]))
        assert said["bounds_s"] == list(LATENCY_BOUNDS_S)
        assert sample(f"pixlog_{name}_seconds_sum") == pytest.approx(said["sum_s"], abs=1e-6)
        assert sample(f"pixlog_{name}_seconds_sum") > 0


def test_metrics_refuse_other_requests(
    run_dir: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """Another path or method gets its status, garbage gets nothing, and the daemon goes on."""
    monkeypatch.setenv("PIXLOG_METRICS", address)
    with pixlog.connect(run_dir) as client:
        assert ask(address, "GET /secrets HTTP/1.1")[0] == "HTTP/1.1 404 Not Found"
        assert ask(address, "POST /metrics HTTP/1.1")[0] == "HTTP/1.1 405 Method Not Allowed"
        assert ask(address, "HEAD /metrics HTTP/1.1") == ("HTTP/1.1 200 OK", "")
        assert ask(address, "garbage")[0].startswith("HTTP/1.1 405")
        client.log_image("a", np.zeros((2, 2), np.uint8))
        assert client.close().saved == 1


def test_metrics_are_off_by_default(run_dir: Path, runtime_dir: Path) -> None:
    """A daemon listens on its own socket and nowhere else."""
    with pixlog.connect(run_dir):
        sockets = [path.name for path in runtime_dir.iterdir() if path.is_socket()]
    assert sockets == [socket_for(run_dir).name]


def test_metrics_address_in_use_harms_nothing(
    run_dir: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A port that somebody else has is said in the log, and images are saved all the same."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("PIXLOG_METRICS", f"127.0.0.1:{port}")
        with pixlog.connect(run_dir) as client:
            client.log_image("a", np.zeros((2, 2), np.uint8))
            assert client.close().saved == 1
    log = run_dir / "daemon.log"
    wait_until(lambda: f"no metrics on 127.0.0.1:{port}" in log.read_text())


@pytest.mark.parametrize(
    "text",
    ["0.0.0.0:9464", "9464", "example.org:80", "127.0.0.1:0", "127.0.0.1:70000", "relative", "/" + "x" * 107],
)
def test_metrics_are_for_this_machine_alone(text: str) -> None:
    """An address that others could reach, or that is none, is refused."""
    with pytest.raises(ValueError, match="for nowhere, the absolute path of a Unix socket, or a port"):
        Address().from_text(text)


def test_histogram_counts_bounds_from_below() -> None:
    """A duration that equals a bound belongs to that bound's bucket, one beyond all to the last."""
    histogram = Histogram()
    for duration_s in (LATENCY_BOUNDS_S[0], LATENCY_BOUNDS_S[-1], 99.0):
        histogram.observe(duration_s)
    assert (histogram.counts[0], histogram.counts[-2], histogram.counts[-1]) == (1, 1, 1)
    assert histogram.count == 3


def test_metrics_text_of_no_run_is_sound() -> None:
    """A service that serves nothing yet has families without samples, and no worker process."""
    assert parse(metrics_text([])) == {("pixlog_worker_processes", frozenset()): 0.0}
