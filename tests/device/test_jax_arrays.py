"""JAX arrays, whose values are taken on the background thread: JAX's own arrays, on the CPU."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pixlog
from pixlog.device import jax_arrays
from pixlog.device.device_array import DeviceArray
from pixlog.device.snapshots import Snapshots
from pixlog.notices import Notices
from scripted_daemon import ScriptedDaemon
from waiting import scaled_s

Connect = Callable[..., pixlog.Client]


@pytest.fixture
def jax() -> Any:
    """Return JAX, or skip."""
    return pytest.importorskip("jax", reason="JAX is not installed")


def flushed(client: pixlog.Client) -> pixlog.Client:
    """Wait until everything is saved."""
    assert client.flush(timeout_s=scaled_s(20)) == 0
    return client


@pytest.mark.parametrize("name", ["uint8", "float32", "float16", "bfloat16", "int32", "bool"])
def test_jax_array_arrives_as_it_is_read_in_the_call(
    jax: Any, daemon: ScriptedDaemon, connect: Connect, name: str
) -> None:
    """Frame and pixels are those of device_copy="sync", for each dtype."""
    array = (jax.numpy.arange(8 * 9 * 3).reshape(8, 9, 3) % 2).astype(name)
    flushed(connect()).log_image("k", array, step=0)
    flushed(connect(device_copy="sync")).log_image("k", array, step=0)
    one, two = daemon.wait_for_logs(2)
    assert one.header["items"] == two.header["items"]
    assert one.header["items"][0]["data"]["origin"] == "jax"
    assert daemon.pixels[0] == np.asarray(array).tobytes()


def test_jax_values_are_read_on_the_background_thread(
    jax: Any, daemon: ScriptedDaemon, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call takes no values; they are those of the array as it was computed."""
    readers: set[str] = set()
    read = jax_arrays.JaxBlock.read

    def noted(block: jax_arrays.JaxBlock) -> Any:
        readers.add(threading.current_thread().name)
        return read(block)

    monkeypatch.setattr(jax_arrays.JaxBlock, "read", noted)
    client = connect()
    big = jax.numpy.ones((400, 400))
    for _ in range(20):
        big = big @ big / 400
    client.log_image("k", big)
    flushed(client)
    assert readers == {"pixlog-device"}
    assert daemon.pixels[0] == np.asarray(big).tobytes()


def test_jax_list_and_mapping_are_taken_too(jax: Any, daemon: ScriptedDaemon, connect: Connect) -> None:
    """Lists of arrays and the keys of one ``log`` are copied the same way."""
    client = connect()
    arrays = [jax.numpy.full((4, 5), number, "uint8") for number in range(3)]
    client.log_image("list", arrays)
    client.log({"a": arrays[1], "b": arrays[2]})
    flushed(client)
    assert daemon.pixels[1] == bytes([1] * 20)
    assert daemon.pixels[2] == bytes([2] * 20)
    assert [daemon.pixels[0][offset] for offset in (0, 64, 128)] == [0, 1, 2]


def test_deleted_jax_array_is_a_failed_row(
    jax: Any, daemon: ScriptedDaemon, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An array that is donated or deleted before its values were taken gives a row that says so and what to do."""
    taken = threading.Event()
    computed = jax_arrays.JaxBlock.computed

    def late(block: jax_arrays.JaxBlock) -> bool:
        assert taken.wait(scaled_s(10))
        return computed(block)

    monkeypatch.setattr(jax_arrays.JaxBlock, "computed", late)
    client = connect()
    array = jax.numpy.ones((8, 9))
    client.log_image("k", array)
    array.delete()
    taken.set()
    (log,) = daemon.wait_for_logs(1)
    assert log.header["state"] == "failed"
    assert log.header["reason"] == (
        "copy from the device: the JAX array was deleted or donated before its values were copied: "
        "log jax.numpy.copy(array), or use device_copy='sync'"
    )
    flushed(client)


def test_jax_array_that_is_deleted_already_is_refused_in_the_call(
    jax: Any, connect: Connect, daemon: ScriptedDaemon
) -> None:
    """What has no values at the call is refused by the call, as with device_copy="sync"."""
    array = jax.numpy.ones((8, 9))
    array.delete()
    client = connect(strict=True)
    with pytest.raises(pixlog.InputTypeError, match="deleted"):
        client.log_image("k", array)
    assert not daemon.logs


def test_jax_array_of_a_dtype_that_is_converted_is_read_in_the_call(jax: Any) -> None:
    """Only dtypes that are sent as they are wait for their values; tracers are refused as ever."""
    snapshots = Snapshots(Notices())
    small = jax.numpy.ones((4, 5), jax.numpy.float8_e4m3fn)
    assert snapshots.take(small) is small
    assert isinstance(snapshots.take(jax.numpy.ones((4, 5))), DeviceArray)

    def traced(array: Any) -> Any:
        assert snapshots.take(array) is array
        return array

    jax.jit(traced)(jax.numpy.ones(3))
