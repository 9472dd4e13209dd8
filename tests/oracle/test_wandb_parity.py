"""The contract "wandb" beside the real wandb 0.18.0, where one is installed (``make oracle`` does)."""

from pathlib import Path

import pytest

from parity import Outcome, compare, log_with_pixlog, oracle_python, run_wandb
from parity_cases import Case, all_cases
from parity_page import PAGE, REASONS, page

CASES = all_cases()
Results = tuple[dict[str, str], dict[str, Outcome]]


@pytest.fixture(scope="module")
def wandb_results(
    tmp_path_factory: pytest.TempPathFactory,
) -> Results:
    """Run wandb over every case once."""
    python = oracle_python()
    if python is None:
        pytest.skip("no Python with wandb 0.18.0: make oracle installs one, PIXLOG_TEST_ORACLE names another")
    return run_wandb(python, tmp_path_factory.mktemp("wandb"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_wandb_contract_gives_what_wandb_gives(case: Case, wandb_results: Results, tmp_path: Path) -> None:
    """Pixels, JSON and exception classes agree, except for the reasons that are written down."""
    _, outcomes = wandb_results
    if case.name not in outcomes:
        pytest.skip("this wandb has no torch or torchvision")
    verdict = compare(case, outcomes[case.name], log_with_pixlog(case, tmp_path))
    assert verdict.as_expected, f"{verdict.kind} {verdict.detail} (reason given: {case.differs})"


def test_parity_page_shows_the_comparison(wandb_results: Results, tmp_path: Path) -> None:
    """docs/wandb-parity.md is what the comparison gives today, versions of packages aside."""
    versions, outcomes = wandb_results
    if len(outcomes) < len(CASES):
        pytest.skip("this wandb has no torch or torchvision")
    verdicts = [
        compare(case, outcomes[case.name], log_with_pixlog(case, tmp_path / str(number)))
        for number, case in enumerate(CASES)
    ]
    expected = page(versions, verdicts).splitlines()
    shown = PAGE.read_text(encoding="utf-8").splitlines()
    assert [line for line in shown if not line.startswith("Compared with")] == [
        line for line in expected if not line.startswith("Compared with")
    ]


def test_parity_cases_are_many_and_name_known_reasons() -> None:
    """At least 150 inputs are compared, and every deliberate difference has its text."""
    assert len(CASES) >= 150
    assert {case.differs for case in CASES} - {None} == set(REASONS)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.differs is None][::7], ids=lambda case: case.name
)
def test_parity_cases_can_be_logged_without_wandb(case: Case, tmp_path: Path) -> None:
    """Every case that is no error in both gives files, so the comparison cannot pass by comparing nothing."""
    outcome = log_with_pixlog(case, tmp_path)
    assert bool(outcome.raised) != bool(outcome.files)
