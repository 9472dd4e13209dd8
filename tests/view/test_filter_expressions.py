"""The language of the filter field, and the columns it is answered from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pixlog
from pixlog.errors import InputError
from pixlog.view.expression import MAX_LENGTH, parse_expression
from pixlog.view.row_scans import RowScans
from viewed_runs import flat
from written_runs import WrittenRun


@pytest.fixture
def scans(tmp_path: Path) -> RowScans:
    """Return the scans of ten rows with score = step / 10 and a few odd values."""
    run = WrittenRun(tmp_path / "run")
    for step in range(10):
        meta = {"score": step / 10, "tag": f"Cat {step}", "deep": {"er": [step, 1]}, "odd name": step}
        run.image("k", step, flat(step), caption=f"photo {step}", rank=step % 2, meta=meta)
    run.image("k", 10, flat(0), meta={"score": None, "flag": True, "big": 10**400})
    run.row("k", 11, state="failed", reason="too many channels", value=None)
    return RowScans(pixlog.Run(run.path))


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("meta.score < 0.3", [0, 1, 2]),
        ("meta.score>=.8 and rank==1", [9]),
        ("not meta.score < 0.9 and state == 'saved'", [9, 10]),
        ("step = 3 or step = -1 || step == 5", [3, 5]),
        ("(step < 2 or step > 10) && !(state != 'saved')", [0, 1]),
        ("caption ~ 'PHOTO 7'", [7]),
        ("caption !~ 'photo'", [10, 11]),
        ('meta.tag == "Cat 4"', [4]),
        ("meta.deep.er[0] == 6", [6]),
        ('meta["odd name"] == 8', [8]),
        ("meta.flag", [10]),
        ("meta.score == none and meta.flag == true", [10]),
        ("reason ~ channels", None),
        ("reason ~ 'channels'", [11]),
        ("meta.tag < 3", []),
        ("1 < 2", list(range(12))),
        ("input.dtype", []),
    ],
)
def test_filter_passes_the_rows_it_says(scans: RowScans, text: str, steps: list[int] | None) -> None:
    """Each expression passes exactly the rows that it describes; a bare word is a mistake."""
    if steps is None:
        with pytest.raises(InputError, match="no field 'channels'"):
            scans.matches(text)
        return
    assert np.flatnonzero(scans.matches(text)).tolist() == steps


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "expected a name"),
        ("score < 1", r"character 1: .*did you mean meta\.score"),
        ("step <", "character 7"),
        ("(step", "character 1: this parenthesis is not closed"),
        ("step 3", "character 6"),
        ("step < 3)", "character 9"),
        ("step ; 3", "character 6, ';'"),
        ("__import__('os')", "no field '__import__'"),
        ("meta.__class__.__mro__ == 1 )", "character 29"),
        ("not " * 60 + "step", "nest at most"),
        ("(" * 60 + "step" + ")" * 60, "nest at most"),
        ("1" * (MAX_LENGTH + 1), "at most"),
    ],
)
def test_filter_refuses_mistakes_with_their_place(text: str, complaint: str) -> None:
    """A mistake is an error of the user's that names the character; nothing is ever run as Python."""
    with pytest.raises(InputError, match=complaint):
        parse_expression(text)


def test_attributes_of_python_objects_are_out_of_reach(scans: RowScans) -> None:
    """A path goes into JSON alone: dunder names find nothing."""
    assert not scans.matches("meta.__class__ or caption.__len__ or meta.tag.upper").any()


def test_meta_axis_has_a_number_for_each_row(scans: RowScans) -> None:
    """Rows without the number, or with something else, are NaN; names of numeric entries are offered."""
    values = scans.meta("score")
    assert values[:10].tolist() == [step / 10 for step in range(10)]
    assert np.isnan(values[10:]).all()
    assert np.isnan(scans.meta("flag")).all()
    assert np.isnan(scans.meta("big")).all()
    assert scans.meta_names() == ["odd name", "score"]


def test_numbers_that_are_not_finite_are_their_names_to_filters_and_none_to_axes(tmp_path: Path) -> None:
    """NaN and infinities are found by what the page shows of them, and keep nobody's place on an axis."""
    run = WrittenRun(tmp_path / "run")
    for step, loss in enumerate((0.5, "nan", "inf")):
        run.image("k", step, flat(0), meta={"loss": loss})
    scans = RowScans(pixlog.Run(run.path))
    assert scans.matches("meta.loss == 'nan'").tolist() == [0, 1, 0]
    assert scans.matches("meta.loss ~ 'inf'").tolist() == [0, 0, 1]
    assert scans.matches("meta.loss < 1").tolist() == [1, 0, 0]
    np.testing.assert_array_equal(scans.meta("loss"), [0.5, np.nan, np.nan])


def test_columns_grow_with_the_run_and_stay_bounded(tmp_path: Path) -> None:
    """Rows that came are in the next answer; columns beyond the limit are let go."""
    run = WrittenRun(tmp_path / "run")
    for step in range(50):
        run.image("k", 0, flat(0), meta={f"m{number}": step for number in range(8)})
    reader = pixlog.Run(run.path)
    scans = RowScans(reader, cells_kept=200)
    for number in range(8):
        assert scans.meta(f"m{number}").tolist() == list(range(50))
        assert scans.cell_count <= 200
    run.image("k", 1, flat(0), meta={"m7": 1000})
    reader.refresh()
    assert scans.meta("m7", 50).tolist() == [1000]
    assert scans.matches("meta.m7 > 48").tolist() == [0] * 49 + [1, 1]


def test_axis_and_filter_from_a_number_that_no_row_has_are_empty(scans: RowScans) -> None:
    """A number far behind the last row costs no memory, whoever asks with it, and spoils nothing."""
    whole = scans.meta("score")
    for first in (len(whole), len(whole) + 1, 10**6, 10**15):
        assert len(scans.meta("score", first)) == 0
        assert len(scans.matches("meta.score < 0.3", first)) == 0
        assert len(scans.matches("step >= 0", first)) == 0
    assert scans.cell_count <= 20 * len(whole)
    assert np.array_equal(scans.meta("score"), whole, equal_nan=True)


def test_caption_order_sorts_texts_and_puts_the_rest_last(scans: RowScans) -> None:
    """Rows come in the order of their captions; those without one are last."""
    order = scans.order("caption")
    assert np.argsort(order[:10]).tolist() == list(range(10))
    assert order[10] == order[11] == order.max()
