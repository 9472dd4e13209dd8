"""CUDA tensors, on a real GPU: whoever has one sees here what holds there.

Written without a GPU at hand; ``make test ARGS="-m cuda"`` runs these where PyTorch finds one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pixlog
from pixlog.device import cuda as cuda_device
from pixlog.sending import arrivals
from scripted_daemon import ScriptedDaemon
from waiting import scaled_s, wait_until

Connect = Callable[..., pixlog.Client]

pytestmark = pytest.mark.cuda


@pytest.fixture
def torch() -> Any:
    """Return torch, or skip where it finds no GPU."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA GPU here")
    return torch


@pytest.fixture
def client(connect: Connect, torch: Any) -> pixlog.Client:
    """Return a client whose arena is page-locked already."""
    client = connect()
    client.log_image("warm-up", torch.zeros(4, 4, dtype=torch.uint8, device="cuda"))
    flush(client)
    return client


def flush(client: pixlog.Client) -> None:
    """Wait until everything is saved."""
    assert client.flush(timeout_s=scaled_s(20)) == 0


def busy(torch: Any) -> None:
    """Give the current stream work for some milliseconds."""
    matrix = torch.ones(2048, 2048, device="cuda")
    for _ in range(30):
        matrix = matrix @ matrix / 2048


def fill_device(torch: Any) -> list[Any]:
    """Take memory until there is none; return what was taken."""
    hoard = []
    try:
        while True:
            hoard.append(torch.empty(1 << 20, dtype=torch.uint8, device="cuda"))
    except torch.cuda.OutOfMemoryError:
        return hoard


def test_change_in_place_after_the_call_does_not_show(
    torch: Any, client: pixlog.Client, daemon: ScriptedDaemon
) -> None:
    """While the stream is busy, a tensor is logged and overwritten at once: what is saved is what was logged."""
    expected = {}
    tensor = torch.zeros(1080, 1920, 3, dtype=torch.uint8, device="cuda")
    for number in range(1, 30):
        busy(torch)
        tensor.fill_(number)
        expected[client.log_image("k", tensor).seq] = number
        tensor.fill_(255)
    flush(client)
    for seq, number in expected.items():
        assert daemon.pixels[seq] == bytes([number]) * tensor.numel()


@pytest.mark.parametrize(
    "name", ["bool", "uint8", "int32", "int64", "float16", "bfloat16", "float32", "float64", "complex64"]
)
def test_cuda_tensor_arrives_as_it_is_read_in_the_call(
    torch: Any, connect: Connect, client: pixlog.Client, daemon: ScriptedDaemon, name: str
) -> None:
    """Items and pixels are those of device_copy="sync": for each dtype, contiguous, with gaps, and channels last."""
    sync = connect(device_copy="sync")
    base = torch.rand(4, 3, 32, 48, device="cuda").mul(2).to(getattr(torch, name))
    for tensor in (
        base[0],
        base[0, :, ::2, 1::3],
        base[0].permute(1, 2, 0),
        base,
        base.to(memory_format=torch.channels_last),
        base[:1].expand(5, 3, 32, 48),
    ):
        held = client.log_image("k", tensor, step=0)
        flush(client)
        log, pixels = daemon.logs[-1], daemon.pixels[held.seq]
        read = sync.log_image("k", tensor, step=0)
        flush(sync)
        assert log.header["items"] == daemon.logs[-1].header["items"]
        for offset, nbytes in log.header["buffers"]:
            assert pixels[offset : offset + nbytes] == daemon.pixels[read.seq][offset : offset + nbytes]


def test_tensor_of_another_stream_is_copied_in_its_order(
    torch: Any, client: pixlog.Client, daemon: ScriptedDaemon
) -> None:
    """On a stream of the user's own, what is logged is what that stream had computed by then."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        tensor = torch.zeros(512, 512, device="cuda")
        busy(torch)
        tensor.add_(3)
        seq = client.log_image("k", tensor).seq
        tensor.zero_()
    flush(client)
    assert daemon.pixels[seq] == np.full((512, 512), 3, np.float32).tobytes()


def test_call_does_not_wait_for_the_device(torch: Any, client: pixlog.Client) -> None:
    """In a profiler's trace of the call there is no synchronisation, while the stream is busy."""
    profiler = torch.profiler
    activities = [profiler.ProfilerActivity.CPU, profiler.ProfilerActivity.CUDA]
    tensor = torch.zeros(1080, 1920, 3, dtype=torch.uint8, device="cuda")
    with profiler.profile(activities=activities) as profile:
        busy(torch)
        for _ in range(5):
            with profiler.record_function("the call"):
                client.log_image("k", tensor)
    calls = [event.time_range for event in profile.events() if event.name == "the call"]
    inside = {
        event.name
        for event in profile.events()
        for call in calls
        if call.start <= event.time_range.start <= call.end
    }
    assert len(calls) >= 5
    assert not [name for name in inside if "Synchronize" in name]
    flush(client)


def test_arena_is_page_locked_and_released(torch: Any, client: pixlog.Client) -> None:
    """CUDA knows the arena's pages as page-locked while the client lives, and no longer after close()."""
    memory = client._delivery._pool.arenas[0].memory
    assert torch.from_numpy(memory[:64]).is_pinned()
    client.close()
    assert not torch.from_numpy(memory[:64]).is_pinned()


def test_pages_that_cannot_be_locked_still_arrive(
    torch: Any, connect: Connect, daemon: ScriptedDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where registration is refused, the background thread copies all the same."""
    monkeypatch.setattr(cuda_device.CudaBlock, "lock_pages", lambda self, memory: None)
    client = connect()
    busy(torch)
    tensor = torch.full((256, 256), 9, dtype=torch.uint8, device="cuda")
    seq = client.log_image("k", tensor).seq
    tensor.zero_()
    flush(client)
    assert daemon.pixels[seq] == bytes([9]) * tensor.numel()


def test_graph_capture_goes_on_beside_copies(
    torch: Any, client: pixlog.Client, daemon: ScriptedDaemon
) -> None:
    """A call during a capture fails for itself alone; copies in flight do not break a capture; replays work."""
    tensor = torch.zeros(256, 256, device="cuda")
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        tensor.add_(1)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    busy(torch)
    earlier = [client.log_image("before", tensor) for _ in range(20)]
    with torch.cuda.graph(graph):
        tensor.add_(1)
        inside = client.log_image("inside", tensor)
        wait_until(lambda: all(receipt.state == "saved" for receipt in earlier))
    graph.replay()
    flush(client)
    (log,) = (log for log in daemon.logs if log.seq == inside.seq)
    assert "while a CUDA graph is being captured" in log.header["reason"]
    assert float(tensor[0, 0]) == 2.0


def test_full_device_falls_back_to_reading_in_the_call(
    torch: Any, client: pixlog.Client, daemon: ScriptedDaemon, caplog: pytest.LogCaptureFixture
) -> None:
    """When there is no memory for a snapshot, the image is copied in the call, and training is told once."""
    tensor = torch.full((1080, 1920, 3), 5, dtype=torch.uint8, device="cuda")
    torch.cuda.empty_cache()
    _, total = torch.cuda.mem_get_info()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 1) / total)
    try:
        hoard = fill_device(torch)
        seq = client.log_image("k", tensor).seq
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    hoard.clear()
    flush(client)
    assert daemon.pixels[seq] == bytes([5]) * tensor.numel()
    assert "no memory on the device" in caplog.text


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_forked_child_cannot_log_cuda_tensors_and_does_no_harm(torch: Any, client: pixlog.Client) -> None:
    """In a forked child a CUDA tensor is a failed row with its reason; the parent goes on."""
    tensor = torch.zeros(64, 64, device="cuda")
    busy(torch)
    client.log_image("k", tensor)
    pid = os.fork()
    if not pid:
        code = 1
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("pixlog.client.Client._connect_in_child", lambda self: None)
                receipt = client.log_image("child", tensor)
                code = 0 if receipt.seq == 0 and client.stats().accepted == 1 else 2
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    flush(client)
    assert not arrivals._never_freed


def test_array_of_another_library_keeps_its_layout_rules(
    torch: Any, client: pixlog.Client, daemon: ScriptedDaemon
) -> None:
    """A CuPy array is copied through PyTorch, and still read as channel-last."""
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    array = cupy.arange(8 * 9 * 3, dtype=cupy.uint8).reshape(8, 9, 3)
    expected = array.get().tobytes()
    seq = client.log_image("k", array).seq
    array[...] = 0
    flush(client)
    assert daemon.logs[-1].header["items"][0]["data"]["origin"] == "cupy"
    assert daemon.pixels[seq] == expected
