"""``pixlog diff`` prints a table or JSON, writes difference images, and its exit code tells same from different."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import pixlog
from pixlog.compare.difference import ImageDiff, compare_pair
from pixlog.compare.pairing import ImagePair
from pixlog.reading.rows import Row
from written_runs import WrittenRun, gray

Command = Callable[..., Any]


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path]:
    """Two runs: step 0 is the same, step 1 differs by 4, step 2 is failed in b, step 3 only in b, step 4 smaller."""
    a, b = WrittenRun(tmp_path / "a"), WrittenRun(tmp_path / "b")
    for step in (0, 1, 2, 4):
        a.image("val/pred", step, gray(step))
        a.image("val/in", step, gray(step))
    b.image("val/pred", 0, gray(0))
    b.image("val/pred", 1, np.minimum(gray(1), 251) + np.uint8(4))
    b.row("val/pred", 2, state="failed", reason="7 channels")
    b.image("val/pred", 3, gray(3))
    b.image("val/pred", 4, gray(4)[:, :4])
    return a.path, b.path


def test_diff_prints_a_line_per_step(both: tuple[Path, Path], pixlog_command: Command) -> None:
    """Same, different, failed, absent and smaller images each say so on their line; the summary counts them."""
    outcome = pixlog_command("diff", *both, "-k", "val/pred")
    assert (outcome.code, outcome.err) == (1, "")
    lines = outcome.lines
    assert lines[0] == "step MSE PSNR dB SSIM max |a−b| note"
    assert lines[1] == "0 0 inf 1.0000 0 the same"
    assert lines[2] == "1 16 36.09 – 4 no SSIM below 11×11 pixels"
    assert lines[3] == "2 – – – – failed in B: 7 channels"
    assert lines[4] == "3 – – – – absent in A"
    assert lines[5] == "4 – – – – A is 6×4, B is 4×4 pixels"
    assert lines[6].startswith(
        "5 pairs: 1 the same, 1 differ, 1 of unequal size, 2 on one side only; lowest PSNR "
    )


def test_exit_code_tells_same_from_different_from_trouble(
    both: tuple[Path, Path], pixlog_command: Command, tmp_path: Path
) -> None:
    """0 if every image has its like, 1 if not, 2 if it cannot be told; --min-psnr lets small differences pass."""
    a, b = both
    assert pixlog_command("diff", a, b, "-k", "val/pred", "-s", "0").code == 0
    assert pixlog_command("diff", a, b, "-k", "val/pred", "-s", "1").code == 1
    assert pixlog_command("diff", a, b, "-k", "val/pred", "-s", "0:2", "--min-psnr", "30").code == 0
    assert pixlog_command("diff", a, b, "-k", "val/pred", "-s", "0:2", "--min-psnr", "70").code == 1
    assert pixlog_command("diff", a, b, "-k", "val/pred", "-s", "3", "--min-psnr", "1").code == 1
    unknown = pixlog_command("diff", a, b, "-k", "val/perd")
    assert unknown.code == 2
    assert "did you mean 'val/pred'?" in unknown.err
    assert pixlog_command("diff", a, b, "-k", "val/in").code == 2
    assert pixlog_command("diff", a, tmp_path / "nothing", "-k", "val/in").code == 2
    assert pixlog_command("diff", a, "-k", "val/in").code == 2


@pytest.mark.parametrize("form", [[], ["--json"], ["--worst", "1"]])
def test_nothing_compared_is_not_the_same(
    both: tuple[Path, Path], pixlog_command: Command, form: list[str]
) -> None:
    """Steps and ranks that no row has, and a pattern that fits no key of both, end in 2 and say which it was."""
    a, b = both
    WrittenRun(a).image("val/only_a", 0, client="00000000000000a1")
    WrittenRun(b).image("val/only_b", 0, client="00000000000000b1")
    for choice in (["-s", "99"], ["-r", "7"]):
        outcome = pixlog_command("diff", a, b, "-k", "val/pred", *choice, *form)
        assert (outcome.code, outcome.out) == (2, "")
        assert "nothing was compared: no row of val/pred" in outcome.err
    outcome = pixlog_command("diff", a, b, "-k", "val/only_*", *form)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"no key that fits val/only_* is in both {a} and {b}" in outcome.err


def test_patterns_take_keys_of_both_runs(both: tuple[Path, Path], pixlog_command: Command) -> None:
    """A pattern compares the keys that both runs have."""
    outcome = pixlog_command("diff", *both, "-k", "val/*", "-s", "0")
    assert outcome.code == 0
    assert outcome.lines[-1].startswith("1 pair: 1 the same")


def test_one_run_compares_two_keys(both: tuple[Path, Path], pixlog_command: Command) -> None:
    """Without B the keys of one run are compared."""
    outcome = pixlog_command("diff", both[0], "-k", "val/in", "--key-b", "val/pred")
    assert outcome.code == 0
    assert outcome.lines[-1].startswith("4 pairs: 4 the same")


def test_json_is_a_line_per_pair_and_valid(both: tuple[Path, Path], pixlog_command: Command) -> None:
    """Every line parses without the constants that JSON does not have."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    outcome = pixlog_command("diff", *both, "-k", "val/pred", "--json")
    said = [json.loads(line, parse_constant=refuse) for line in outcome.out.splitlines()]
    assert [pair["step"] for pair in said] == [0, 1, 2, 3, 4]
    assert [pair["state"] for pair in said] == ["same", "differs", "absent", "absent", "size"]
    assert (said[0]["psnr_db"], said[0]["mse"], said[3]["psnr_db"]) == ("inf", 0, None)
    assert said[1]["path_a"].startswith("media/images/val/pred_1")
    worst = pixlog_command("diff", *both, "-k", "val/pred", "-s", "0:2", "--worst", "1", "--json")
    assert [json.loads(line)["step"] for line in worst.out.splitlines()] == [1]


def test_out_writes_difference_images(
    both: tuple[Path, Path], pixlog_command: Command, tmp_path: Path
) -> None:
    """--out writes |a − b| · gain for each pair that could be compared, and names it in the JSON."""
    outcome = pixlog_command("diff", *both, "-k", "val/pred", "--out", tmp_path / "d", "--gain", "10")
    assert outcome.lines[-1] == f"wrote 2 difference images below {tmp_path / 'd'}"
    with Image.open(tmp_path / "d" / "val" / "pred" / "step000001.png") as picture:
        difference = np.minimum(gray(1), 251).astype(int) + 4 - gray(1)
        assert (np.asarray(picture) == np.abs(difference) * 10).all()
    said = pixlog_command("diff", *both, "-k", "val/pred", "-s", "1", "--out", tmp_path / "d", "--json")
    assert json.loads(said.out)["picture"] == str(tmp_path / "d" / "val" / "pred" / "step000001.png")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "at least one key"),
        (["-k", "val/pred", "--gain", "0"], "got 0, expected a number above 0"),
        (["-k", "val/pred", "-s", "x"], "expected a step such as 3"),
        (["-k", "val/*", "--key-b", "val/pred"], "goes with one --key"),
        (["-k", "val/pred", "--data-range", "-1"], "data_range is a finite number above 0"),
    ],
)
def test_mistakes_end_in_one_message(
    both: tuple[Path, Path], pixlog_command: Command, arguments: list[str], complaint: str
) -> None:
    """What cannot be meant is said, with exit code 2 and no traceback."""
    outcome = pixlog_command("diff", *both, *arguments)
    assert outcome.code == 2
    assert complaint in " ".join(outcome.err.split())
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("form", [[], ["--json"], ["--worst", "3"]])
def test_diff_does_not_hold_the_rows_that_it_compared(
    tmp_path: Path, pixlog_command: Command, monkeypatch: pytest.MonkeyPatch, form: list[str]
) -> None:
    """Only the rows of pairs that are being compared, or may be shown, are in memory, however many there are."""
    count = 150
    a, b = WrittenRun(tmp_path / "a"), WrittenRun(tmp_path / "b")
    for step in range(count):
        a.image("k", step, gray(step))
        b.image("k", step, gray(step + step % 2))
    held: list[int] = []

    def compare(pair: ImagePair, *more: Any) -> ImageDiff:
        if pair.step % 10 == 9:
            held.append(sum(type(one) is Row for one in gc.get_objects()))
        return compare_pair(pair, *more)

    monkeypatch.setattr("pixlog.compare.run_diff.compare_pair", compare)
    monkeypatch.setattr("os.cpu_count", lambda: 2)  # so many pairs are read ahead as there are processors
    assert pixlog_command("diff", a.path, b.path, "-k", "k", *form).code == 1
    assert len(held) == count // 10
    assert max(held) < count, held


def test_worst_of_many_pairs_are_those_of_all(tmp_path: Path, pixlog_command: Command) -> None:
    """--worst picks from all pairs, equal ones in their order, although few are kept at a time."""
    a, b = WrittenRun(tmp_path / "a"), WrittenRun(tmp_path / "b")
    for step in range(300):
        a.image("k", step, gray(0))
        b.image("k", step, gray(0) + np.uint8((step * 7) % 40))
    outcome = pixlog_command("diff", a.path, b.path, "-k", "k", "--worst", "4", "--json")
    wanted = pixlog.diff(a.path, b.path, "k").worst(4)
    assert [json.loads(line) for line in outcome.out.splitlines()] == [pair.to_dict() for pair in wanted]
    shown = pixlog_command("diff", a.path, b.path, "-k", "k", "--worst", "4").lines
    assert [line.split()[0] for line in shown[1:5]] == [str(pair.step) for pair in wanted]
    assert shown[5] == "the 4 worst of 300 pairs"


def test_worst_name_the_rank_where_any_pair_has_one(tmp_path: Path, pixlog_command: Command) -> None:
    """The column of ranks stands there although all that is shown is of rank 0, since other pairs are not."""
    a, b = WrittenRun(tmp_path / "a"), WrittenRun(tmp_path / "b")
    for rank in (0, 1):
        a.image("k", 0, gray(0), rank=rank)
        b.image("k", 0, gray(9 - 9 * rank), rank=rank)
    lines = pixlog_command("diff", a.path, b.path, "-k", "k", "--worst", "1").lines
    assert lines[0].split()[:2] == ["step", "rank"]
    assert lines[1].split()[:2] == ["0", "0"]
