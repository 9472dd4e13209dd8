"""What can be seen of CUDA snapshots without a GPU: how tensors are laid out, and who takes which way."""

from __future__ import annotations

import itertools
from typing import Any, cast

import numpy as np
import pytest

import pixlog
from pixlog.capture import ArraySource, capture
from pixlog.capture.tensors import from_torch
from pixlog.device.cuda import dense_snapshot
from pixlog.device.device_array import DeviceArray
from pixlog.device.snapshots import Snapshots
from pixlog.model.describe import dense_axes
from pixlog.notices import Notices


@pytest.fixture
def torch() -> Any:
    """Return torch, or skip."""
    return pytest.importorskip("torch", reason="torch is not installed")


class BytesOfTensor:
    """A block that is in host memory already."""

    def __init__(self, flat: Any) -> None:
        self.nbytes = flat.numel()
        self._flat = flat

    def read(self) -> Any:
        """Return the bytes."""
        return self._flat.numpy()


def seen_through_snapshot(torch: Any, tensor: Any) -> tuple[Any, str]:
    """Return the values that the bytes of a snapshot stand for, and their dtype's name."""
    flat, shape, strides, name = dense_snapshot(torch, tensor)
    assert flat.is_contiguous()
    assert flat.data_ptr() != tensor.data_ptr()
    dtype = np.dtype("<u2" if name == "bfloat16" else name)
    block: Any = BytesOfTensor(flat)
    return DeviceArray(block, shape, strides, dtype, dtype_name=name, origin="torch").to_host(), name


@pytest.mark.parametrize(
    "name",
    [
        "bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64",
        "complex64", "complex128", "uint16", "uint32", "uint64", "float8_e4m3fn",
    ],
)  # fmt: skip
def test_snapshot_has_the_values_that_are_read_in_the_call(torch: Any, name: str) -> None:
    """Bytes, shape, strides and dtype describe what device_copy="sync" sends, for each dtype."""
    tensor = (torch.arange(3 * 8 * 9).reshape(3, 8, 9) % 2).to(getattr(torch, name))
    expected = from_torch(tensor, owned=False)
    values, dtype = seen_through_snapshot(torch, tensor)
    assert dtype == expected.dtype
    assert np.array_equal(values, expected.array)


@pytest.mark.parametrize("shape", [(8, 9), (3, 8, 9), (2, 3, 8, 9), (1, 3, 8, 9)])
def test_snapshot_of_any_strides_is_dense(torch: Any, shape: tuple[int, ...]) -> None:
    """Every order of axes, slices with gaps and expanded axes become dense bytes, images of a batch one by one."""
    base = torch.arange(np.prod(shape), dtype=torch.float32).reshape(shape)
    for axes in itertools.permutations(range(len(shape))):
        for tensor in (
            base.permute(axes),
            base.permute(axes)[..., ::2],
            base.permute(axes)[:1].expand(4, *[-1] * (len(shape) - 1)),
        ):
            values, _ = seen_through_snapshot(torch, tensor)
            assert np.array_equal(values, tensor.numpy())
            if len(shape) == 4:
                _, shapes, strides, name = dense_snapshot(torch, tensor)
                block: Any = None
                dtype = np.dtype(name)
                batch = DeviceArray(block, shapes, strides, dtype, dtype_name=name, origin="torch")
                assert all(dense_axes(cast(Any, one)) is not None for one in batch)


def test_snapshot_does_not_follow_its_tensor(torch: Any) -> None:
    """Changing the tensor in place afterwards does not show, nor does it for views and conjugates."""
    tensor = torch.complex(torch.rand(8, 9), torch.rand(8, 9))
    expected = tensor.conj().resolve_conj().numpy().copy()
    flat, *_ = dense_snapshot(torch, tensor.conj())
    tensor.zero_()
    assert np.array_equal(flat.numpy().view(np.complex64).reshape(8, 9), expected)


def test_tensors_in_host_memory_are_left_alone(torch: Any) -> None:
    """Only tensors of a CUDA device are taken; others, subclasses and lists of them are read in the call."""
    snapshots = Snapshots(Notices())

    class Labelled(torch.Tensor):  # type: ignore[misc]
        pass

    for tensor in (
        torch.ones(3, 4),
        torch.nn.Parameter(torch.ones(3, 4)),
        torch.ones(3).as_subclass(Labelled),
    ):
        assert snapshots.take(tensor) is tensor
    pair = [torch.ones(3), np.ones(3)]
    assert all(one is two for one, two in zip(snapshots.take(pair), pair, strict=True))


def test_devices_without_this_way_are_read_in_the_call(torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tensor of any accelerator but CUDA goes through ``.cpu()``: of Apple's, Intel's and those yet to come."""
    from pixlog.device import snapshots

    class Elsewhere:
        """Stands for a tensor on another accelerator; asked for its device alone."""

        class device:
            type = "mps"

    monkeypatch.setattr(snapshots, "_find_taker", lambda kind: snapshots._take_torch)
    tensor = Elsewhere()
    assert Snapshots(Notices()).take(tensor) is tensor


def test_arrays_of_other_libraries_go_through_torch(torch: Any) -> None:
    """Memory of a device that NumPy cannot see is read through PyTorch, and keeps the layout rules of plain arrays."""

    class Foreign:
        """An array of no known library that says it lies on an Intel GPU."""

        def __dlpack__(self, **options: object) -> Any:
            return torch.arange(8 * 9 * 3, dtype=torch.uint8).reshape(8, 9, 3).__dlpack__()

        def __dlpack_device__(self) -> tuple[int, int]:
            return (14, 0)

    array = Foreign()
    assert Snapshots(Notices()).take(array) is array
    source = capture(array, copy=False)
    assert isinstance(source, ArraySource)
    assert source.origin == "dlpack"
    assert source.array.tobytes() == bytes(range(8 * 9 * 3))


def test_error_in_taking_falls_back_and_is_said_once(
    torch: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong on the device, the data stay as they were; only a lack of memory is tried again."""
    from pixlog.device import snapshots

    calls: list[str] = []

    class OutOfMemoryError(RuntimeError):
        pass

    def take(data: Any) -> Any:
        calls.append(str(data))
        raise OutOfMemoryError("3 GiB") if data == "large" else RuntimeError("no driver")

    monkeypatch.setattr(snapshots, "_takers", {str: take})
    ours = Snapshots(Notices())
    assert [ours.take(data) for data in ("large", "large", "x", "y")] == ["large", "large", "x", "y"]
    assert calls == ["large", "large", "x"]
    assert [record.message.partition(":")[0] for record in caplog.records] == ["pixlog", "pixlog"]
    assert "3 GiB" in caplog.text
    assert "no driver" in caplog.text


def test_async_client_logs_host_tensors(torch: Any, connect: Any, daemon: Any) -> None:
    """With device_copy="async" everything that lies in host memory is logged as before."""
    client: pixlog.Client = connect()
    client.log_image("k", torch.full((4, 5), 7, dtype=torch.uint8))
    client.log_image("k", np.full((4, 5), 8, np.uint8))
    daemon.wait_for_logs(2)
    assert daemon.pixels == {0: bytes([7] * 20), 1: bytes([8] * 20)}
