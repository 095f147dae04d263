"""Is every error in the tree, with one sentence and an exit code; and are findings kept whole?"""

from __future__ import annotations

import inspect
import re
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestore import errors
from gestore.errors import Finding, Findings, GestoreError, Refused, Severity

ERRORS = [
    value
    for _, value in inspect.getmembers(errors, inspect.isclass)
    if issubclass(value, GestoreError)
]

findings = st.builds(
    Finding,
    st.text(),
    st.sampled_from(Severity),
    st.text(),
    st.text(),
    st.text(),
    st.none() | st.dictionaries(st.text(), st.none() | st.integers() | st.text(), max_size=3),
)


def test_tree_in_the_docstring_is_the_tree() -> None:
    drawn: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ([│├└─ ]*)([A-Z]\w+)  +\S", line)
        if match:
            depth = len(match[1]) // 4
            above = [*above[:depth], match[2]]
            drawn[match[2]] = above[-2] if depth else "Exception"
    assert drawn == {error.__name__: error.__bases__[0].__name__ for error in ERRORS}


def test_exit_codes() -> None:
    codes = {error.__name__: error.exit_code for error in ERRORS if error.exit_code != 1}
    assert codes == {"UsageError": 2}


def test_error_is_its_message_and_its_advice() -> None:
    error = errors.NotFound("No such row.", hint="Look again.")
    assert str(error) == "No such row. Look again."
    assert (error.message, error.hint) == ("No such row.", "Look again.")
    assert str(errors.NotFound("No such row.")) == "No such row."


def finding(severity: Severity) -> Finding:
    return Finding("code", severity, "app.Model.1", "is odd.")


@pytest.mark.parametrize(
    ("severities", "exit_code"),
    [
        ([Severity.CONFLICT], 3),
        ([Severity.CONFLICT, Severity.WARNING], 3),
        ([Severity.CONFLICT, Severity.ERROR], 1),
        ([Severity.ERROR], 1),
    ],
)
def test_refusal_for_conflicts_alone_is_three(severities: list[Severity], exit_code: int) -> None:
    refused = Refused("Nothing was done.", [finding(severity) for severity in severities])
    assert refused.exit_code == exit_code
    assert [found.severity for found in refused.findings] == severities


def test_finding_says_its_subject() -> None:
    assert str(finding(Severity.ERROR)) == "app.Model.1: is odd."
    assert str(Finding("code", Severity.ERROR, "", "All is odd.")) == "All is odd."


@given(findings)
def test_finding_comes_back_from_json(finding: Finding) -> None:
    assert Finding.from_json(finding.as_json()) == finding


@given(st.lists(findings, max_size=8), st.integers(0, 1_100))
def test_findings_are_a_list_however_many(some: list[Finding], padding: int) -> None:
    expected = [*[finding(Severity.WARNING)] * padding, *some]
    kept = Findings(expected)
    assert list(kept) == expected
    assert len(kept) == len(expected)
    for severity in Severity:
        count = sum(found.severity is severity for found in expected)
        assert kept.count(severity) == count
        assert kept.has(severity) == bool(count)
    if expected:
        assert kept[-1] == expected[-1]
        assert kept[: len(expected) // 2] == expected[: len(expected) // 2]


def test_many_findings_take_little_memory() -> None:
    tracemalloc.start()
    try:
        kept = Findings(
            Finding("c", Severity.CONFLICT, f"app.Model.{n}", "x" * 50, "", {"here": {"a": n}})
            for n in range(5_000)
        )
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(kept) == 5_000
    assert held < 500_000
