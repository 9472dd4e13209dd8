"""Keys become paths that stay inside the run directory and tell keys apart."""

import posixpath
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixlogd.rendering.names import DIRECTORIES, MAX_COMPONENT_BYTES, MAX_PATH_BYTES, media_path

SHA = "0123456789abcdef" * 4
SHA20 = SHA[:20]

_ODD_PIECES = st.sampled_from(
    ["/", "..", ".", "//", "\n", "\0", "~", "_", "a", "é", "\ud800", " ", "%", "x" * 300, "/a" * 400, ":"]
)
keys = st.one_of(st.text(), st.lists(_ODD_PIECES).map("".join), st.characters().map(lambda c: c * 3000))


@pytest.mark.parametrize("contract", ["pixlog", "wandb"])
@pytest.mark.parametrize(
    ("kind", "suffix", "path"),
    [
        ("image", ".png", f"media/images/k_3_{SHA20}.png"),
        ("image", "", f"media/images/k_3_{SHA20}"),
        ("image", ".JPG", f"media/images/k_3_{SHA20}.JPG"),
        ("mask", ".mask.png", f"media/images/mask/k_3_{SHA20}.mask.png"),
        ("boxes", ".boxes2D.json", f"media/metadata/boxes2D/k_3_{SHA20}.boxes2D.json"),
    ],
)
def test_media_path_follows_the_layout_of_wandb(contract: str, kind: str, suffix: str, path: str) -> None:
    """Every kind of file has W&B's directory, name and suffix."""
    assert media_path(kind, "k", 3, SHA, suffix, contract=contract) == path


@pytest.mark.parametrize("contract", ["pixlog", "wandb"])
@pytest.mark.parametrize(
    ("key", "stem"),
    [
        ("val/pred", "val/pred"),
        ("a b:*?\\é", "a b:*?\\é"),
        ("", ""),
        ("a/", "a/"),
        ("...", "..."),
        ("a.b", "a.b"),
    ],
)
def test_media_path_spells_ordinary_keys_exactly(contract: str, key: str, stem: str) -> None:
    """Slashes make directories; spaces, punctuation and unicode stay."""
    assert media_path("image", key, 0, SHA, ".png", contract=contract) == f"media/images/{stem}_0_{SHA20}.png"


@pytest.mark.parametrize(
    ("key", "stem"),
    [
        ("/abs/x", "abs/x"),
        ("../../x", "__/__/x"),
        ("./x", "_/x"),
        ("..", "__"),
        ("a//b", "a/b"),
        ("a\nb", "a\nb"),
        ("a\0b", "a_b"),
    ],
)
def test_media_path_sanitises_like_wandb_under_its_contract(key: str, stem: str) -> None:
    """Leading slashes go, dots become underscores, and nothing is appended."""
    assert media_path("image", key, 0, SHA, ".png", contract="wandb") == f"media/images/{stem}_0_{SHA20}.png"


@pytest.mark.parametrize("key", ["/abs/x", "../x", "./x", "..", "a//b", "a\nb", "a\0b", "\ud800", "x" * 300])
def test_media_path_marks_keys_that_it_cannot_spell(key: str) -> None:
    """A key that the path does not spell exactly is told apart by its own digest."""
    name = media_path("image", key, 0, SHA, ".png")
    assert "~" in name
    assert name != media_path("image", name.removeprefix("media/images/").split("_0_")[0], 0, SHA, ".png")


@given(
    key=keys,
    kind=st.sampled_from(sorted(DIRECTORIES)),
    step=st.integers(-(2**63), 2**63 - 1),
    suffix=st.sampled_from(["", ".png", ".boxes2D.json", ".TIFF", "." + "x" * 200, ".\n"]),
    contract=st.sampled_from(["pixlog", "wandb"]),
)
def test_media_path_stays_inside_the_run_directory(
    key: str, kind: str, step: int, suffix: str, contract: str
) -> None:
    """Any key gives a relative path below the directory of its kind that a file system can hold."""
    path = media_path(kind, key, step, SHA, suffix, contract=contract)
    assert posixpath.normpath(path) == path
    assert path.startswith(DIRECTORIES[kind] + "/")
    assert "\0" not in path
    assert len(path.encode()) <= MAX_PATH_BYTES
    assert all(0 < len(part.encode()) <= MAX_COMPONENT_BYTES for part in path.split("/"))
    assert not {".", ".."} & set(path.split("/"))
    if contract == "pixlog":
        assert path.isprintable() or all(ord(c) >= 32 for c in path)


@given(first=keys, second=keys, step=st.integers(0, 30), other_step=st.integers(0, 30))
def test_media_path_differs_for_different_keys(first: str, second: str, step: int, other_step: int) -> None:
    """Two keys never share a file, even for the same pixels."""
    if first != second:
        paths = {media_path("image", key, n, SHA, ".png") for key, n in ((first, step), (second, other_step))}
        assert len(paths) == 2


@pytest.mark.parametrize(
    ("first", "second"), [("a/", "a"), ("a//b", "a/b"), ("/a", "a"), ("a\n", "a_"), ("..", "__")]
)
def test_media_path_differs_for_keys_that_sanitise_alike(first: str, second: str) -> None:
    """Keys that W&B's rule would merge keep files of their own."""
    assert media_path("image", first, 0, SHA, ".png") != media_path("image", second, 0, SHA, ".png")


@pytest.mark.parametrize("contract", ["pixlog", "wandb"])
@pytest.mark.parametrize(
    "key", ["x" * 3000, "é" * 3000, "a/" * 1500, "/".join(["y" * 300] * 20), "\0\n" * 50]
)
def test_media_path_can_be_created_on_disk(key: str, contract: str, tmp_path: Path) -> None:
    """Even the longest keys make files that open."""
    path = tmp_path / media_path("keypoints", key, 2**62, SHA, ".keypoints.json", contract=contract)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    assert path.resolve().is_relative_to(tmp_path.resolve())
