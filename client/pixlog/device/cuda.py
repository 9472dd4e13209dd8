"""CUDA tensors of PyTorch: cloned on the current stream, copied to the host on a stream of our own.

Theory of operation
    ``take`` runs in training: ``clone`` and an event on the caller's current stream, both asynchronous.  The rest
    runs on the background thread: a side stream waits for that event, copies into page-locked memory
    and records a second event, which is asked, never waited for.  The clone is kept until the second event fired,
    so the caching allocator cannot hand its memory to anybody while it is read.

    ``copy_(..., non_blocking=True)`` is a ``cudaMemcpyAsync`` whatever the destination is; it is the
    driver that makes it wait when the memory is not page-locked.  Such a copy is therefore started only after the
    first event fired, and occupies nobody but the background thread.

    While a thread captures a CUDA graph in the default mode, another thread that asks for an event breaks that
    capture.  The background thread is therefore set to the thread-local capture mode, as PyTorch does with the
    thread that watches its collectives; where that cannot be done, nothing here is used.

    Whatever the background thread asks of CUDA, it asks with the tensor's device as the current one: otherwise CUDA
    would make a context on the first device too, some hundred MB in each process.

Written against PyTorch's sources; it has never run on a GPU.
"""

from __future__ import annotations

import ctypes
import functools
import sys
import threading
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from pixlog.capture.tensors import refuse_unreadable, settled
from pixlog.device.copies import Part, Unlock
from pixlog.device.device_array import DeviceArray
from pixlog.sending.arena import Memory

_DTYPES: Final = {
    "torch.bool": "|b1",
    "torch.uint8": "|u1",
    "torch.int8": "|i1",
    "torch.int16": "<i2",
    "torch.int32": "<i4",
    "torch.int64": "<i8",
    "torch.uint16": "<u2",
    "torch.uint32": "<u4",
    "torch.uint64": "<u8",
    "torch.float16": "<f2",
    "torch.float32": "<f4",
    "torch.float64": "<f8",
    "torch.complex64": "<c8",
    "torch.complex128": "<c16",
    "torch.bfloat16": "<u2",
}
_THREAD_LOCAL_MODE: Final = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
_PORTABLE: Final = 1  # cudaHostRegisterPortable: page-locked for every context

_side_streams: dict[int, Any] = {}
_prepared = threading.local()


@functools.cache
def unusable_because() -> str | None:
    """Return why this process cannot copy without waiting, or None; loads the driver's library."""
    torch = sys.modules["torch"]
    if sys.byteorder != "little":
        return "only little-endian machines are supported"
    if getattr(torch.version, "hip", None):
        return "ROCm is not supported"
    try:
        _exchange_capture_mode()
    except (OSError, AttributeError) as exc:
        return f"the CUDA driver cannot be asked: {exc}"
    return None


def take(tensor: Any, *, origin: str = "torch") -> DeviceArray | None:
    """Return a private snapshot of a CUDA tensor, made on its device's current stream; None: not one for this way.

    Raises InputTypeError while a CUDA graph is being captured, and whatever CUDA raises: then nothing was taken.
    """
    torch = sys.modules["torch"]
    if tensor.device.type != "cuda":
        return None
    refuse_unreadable(torch, tensor)
    plain = tensor.detach().as_subclass(torch.Tensor)
    if str(plain.layout) != "torch.strided" or not plain.numel():
        return None
    with torch.cuda.device(plain.device):
        flat, shape, strides, dtype_name = dense_snapshot(torch, plain)
        taken = torch.cuda.Event()
        taken.record()
    block = CudaBlock(flat, taken)
    dtype = np.dtype(_DTYPES["torch.bfloat16"] if dtype_name == "bfloat16" else dtype_name)
    return DeviceArray(block, shape, strides, dtype, dtype_name=dtype_name, origin=origin)


def dense_snapshot(torch: Any, tensor: Any) -> tuple[Any, tuple[int, ...], tuple[int, ...], str]:
    """Copy a strided tensor on its own device; return its bytes (flat uint8), shape, strides and dtype.

    A tensor that is dense in some axis order keeps that order, unless images of a batch would not be dense then.
    Strides are in bytes; the dtype is the wire's name.  dtypes without one become float32.
    """
    solid = settled(tensor)
    if str(solid.dtype) not in _DTYPES:
        solid = solid.to(torch.float32)
    private = solid is not tensor and solid.data_ptr() != tensor.data_ptr()
    if not private:
        solid = solid.clone(memory_format=torch.preserve_format)
    axes = sorted(range(solid.dim()), key=lambda axis: -solid.stride(axis))
    outermost = next((axis for axis in axes if solid.shape[axis] > 1), 0)
    # The images of a batch have to lie one behind another.
    interleaved = solid.dim() > 3 and outermost != 0 and solid.shape[0] > 1
    if interleaved or not solid.permute(axes).is_contiguous():
        solid = solid.contiguous()
        axes = list(range(solid.dim()))
    name = str(solid.dtype)
    itemsize = solid.element_size()
    shape = tuple(int(length) for length in solid.shape)
    strides = tuple(int(stride) * itemsize for stride in solid.stride())
    flat = solid.permute(axes).reshape(-1).view(torch.uint8)
    return flat, shape, strides, "bfloat16" if name == "torch.bfloat16" else _DTYPES[name]


class CudaBlock:
    """A clone, flat in bytes, and the event that fires when it is made; a ``DeviceBlock``."""

    def __init__(self, flat: Any, taken: Any) -> None:
        self.nbytes = int(flat.numel())
        self._flat = flat
        self._taken = taken

    def start(self, parts: Sequence[Part], *, locked: bool) -> CudaCopy:
        """Start the copy on the side stream, or note it where the memory is not page-locked."""
        copy = CudaCopy(self._flat, self._taken, parts)
        if locked:
            copy.launch()
        return copy

    def read(self) -> Memory:
        """Copy all bytes to the host, waiting for the device."""
        torch = sys.modules["torch"]
        with torch.cuda.device(self._flat.device):
            self._taken.synchronize()
            with torch.cuda.stream(_side_stream(torch, self._flat.device)):
                host: Memory = self._flat.cpu().numpy()
        return host

    def lock_pages(self, memory: Memory) -> Unlock | None:
        """Register memory with CUDA, and see that CUDA knows it."""
        torch, device = sys.modules["torch"], self._flat.device
        address = memory.ctypes.data

        def unlock() -> None:
            with torch.cuda.device(device):
                torch.cuda.cudart().cudaHostUnregister(address)

        with torch.cuda.device(device):
            if code := int(torch.cuda.cudart().cudaHostRegister(address, memory.nbytes, _PORTABLE)):
                raise RuntimeError(f"cudaHostRegister of {memory.nbytes} bytes returned {code}")
            known = torch.from_numpy(memory[:1]).is_pinned()
        if not known:
            unlock()
            raise RuntimeError("CUDA does not know memory as page-locked that it has registered")
        return unlock

    def prepare_thread(self) -> None:
        """Let this thread ask for events while another captures a CUDA graph."""
        if not getattr(_prepared, "done", False):
            exchange = _exchange_capture_mode()
            mode = ctypes.c_int(_THREAD_LOCAL_MODE)
            if code := exchange(ctypes.byref(mode)):
                raise RuntimeError(f"cuThreadExchangeStreamCaptureMode returned {code}")
            _prepared.done = True


class CudaCopy:
    """A copy on the side stream; see :class:`pixlog.device.copies.DeviceCopy`."""

    def __init__(self, flat: Any, taken: Any, parts: Sequence[Part]) -> None:
        self.error: str | None = None
        self._flat = flat
        self._taken = taken
        self._parts = parts
        self._done: Any = None

    def launch(self) -> None:
        """Put the copies and their event on the side stream."""
        torch = sys.modules["torch"]
        side = _side_stream(torch, self._flat.device)
        with torch.cuda.device(self._flat.device), torch.cuda.stream(side):
            side.wait_event(self._taken)
            for offset, memory in self._parts:
                piece = self._flat[offset : offset + len(memory)]
                torch.from_numpy(memory).copy_(piece, non_blocking=True)
            done = torch.cuda.Event()
            done.record(side)
        self._done = done

    def ready(self) -> bool:
        """Ask the events."""
        try:
            with sys.modules["torch"].cuda.device(self._flat.device):
                if self._done is None:
                    if not self._taken.query():
                        return False
                    self.launch()
                return bool(self._done.query())
        except Exception as exc:
            self.error = f"{type(exc).__name__}: {exc}"
            return True


def _side_stream(torch: Any, device: Any) -> Any:
    stream = _side_streams.get(device.index)
    if stream is None:
        stream = _side_streams[device.index] = torch.cuda.Stream(device=device)
    return stream


def _exchange_capture_mode() -> Any:
    return ctypes.CDLL("libcuda.so.1").cuThreadExchangeStreamCaptureMode
