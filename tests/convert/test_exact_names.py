"""The quick way to a name, for keys that are their own name, gives what the long way gives."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pixlogd.rendering import names

DIGEST = "0123456789abcdef" * 4


@given(
    st.sampled_from(sorted(names.DIRECTORIES)),
    st.one_of(st.text(max_size=70), st.text(alphabet="ab/.~0é\n", max_size=90)),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.sampled_from([".png", "", ".JPG", "." + "é" * 40, "./x\n"]),
    st.sampled_from(["pixlog", "wandb"]),
)
def test_quick_name_equals_long_name(kind: str, key: str, step: int, suffix: str, contract: str) -> None:
    """For any key, step, suffix and contract, a name that was found quickly is the one that the rules give."""
    quick = names.media_path(kind, key, step, DIGEST, suffix, contract=contract)
    original = names._exact_stem
    try:
        names._exact_stem = lambda key, plain: None  # type: ignore[assignment]
        assert names.media_path(kind, key, step, DIGEST, suffix, contract=contract) == quick
    finally:
        names._exact_stem = original
