"""Replace what lies on a device by a private snapshot there, before anybody looks at it.

The classes of arrays are told by the modules they come from, so that no framework is imported for it.  Whatever goes
wrong here leaves the data as they were: they are then read in the call, as everything is with ``device_copy="sync"``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

from pixlog.device.device_array import DeviceArray
from pixlog.errors import InputError
from pixlog.notices import Notices
from pixlog.signal_exceptions import pass_on

_KDL_CUDA: Final = 2
_WITH_A_WAY_OF_THEIR_OWN: Final = frozenset({"torch", "jax", "jaxlib", "tensorflow", "numpy"})

Taker = Callable[[Any], DeviceArray | None]

_takers: WeakKeyDictionary[type, Taker | None] = WeakKeyDictionary()
_MISSING: Final = object()


class Snapshots:
    """Takes snapshots for one client; gives up for good after an error that is not a lack of memory."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._unusable: set[str] = set()

    def take(self, data: Any) -> Any:
        """Return ``data`` with every array on a device replaced by a :class:`DeviceArray`, lists one level deep."""
        kind = type(data)
        if kind is list or kind is tuple:
            return kind([self.take(element) for element in data])
        taker: Any = _takers.get(kind, _MISSING)
        if taker is _MISSING:
            taker = _takers[kind] = _find_taker(kind)
        if taker is None:
            return data
        package = kind.__module__.partition(".")[0]
        if package in self._unusable:
            return data
        try:
            taken = taker(data)
        except InputError:
            raise
        except Exception as exc:
            pass_on(exc)
            self._fall_back(package, exc)
            return data
        return data if taken is None else taken

    def _fall_back(self, package: str, exc: Exception) -> None:
        if "OutOfMemory" in type(exc).__name__:
            self._notices.say_now(
                "device-memory",
                "",
                f"no memory on the device for a copy of an image, which is read in the call instead: {exc}",
            )
            return
        self._unusable.add(package)
        self._notices.say_now(
            "device",
            "",
            f"images on a device are read in the call from now on, as with device_copy='sync': "
            f"{type(exc).__name__}: {exc}",
        )


def _find_taker(kind: type) -> Taker | None:
    """Return what takes snapshots of exactly this class; subclasses may mean anything and are read in the call."""
    package = kind.__module__.partition(".")[0]
    if (kind.__module__, kind.__name__) in (("torch", "Tensor"), ("torch.nn.parameter", "Parameter")):
        return _take_torch
    if package in ("jax", "jaxlib") and kind.__name__ == "ArrayImpl":
        from pixlog.device import jax_arrays

        return jax_arrays.take
    if package == "cupy" and kind.__name__ == "ndarray":
        return _take_through_torch
    packages = {base.__module__.partition(".")[0] for base in kind.__mro__}
    if packages & _WITH_A_WAY_OF_THEIR_OWN:
        return None
    if callable(getattr(kind, "__dlpack_device__", None)):
        return _take_through_torch
    return None


def _take_torch(tensor: Any, origin: str = "torch") -> DeviceArray | None:
    if tensor.device.type != "cuda":
        return None
    from pixlog.device import cuda

    if reason := cuda.unusable_because():
        raise RuntimeError(reason)
    return cuda.take(tensor, origin=origin)


def _take_through_torch(data: Any) -> DeviceArray | None:
    """CUDA memory of another library, which PyTorch sees without a copy, if it is loaded and uses CUDA."""
    torch = sys.modules.get("torch")
    if torch is None or data.__dlpack_device__()[0] != _KDL_CUDA or not torch.cuda.is_available():
        return None
    return _take_torch(torch.from_dlpack(data), origin=type(data).__module__.partition(".")[0])
