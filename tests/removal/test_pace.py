"""Do batches last about as long as they may, and shrink where others hold locks?"""

from gestore.removal.pace import Pace


def sizes(pace: Pace, seconds_a_row: float, batches: int) -> list[int]:
    """The sizes of so many batches where each row takes so long."""
    found = []
    for _ in range(batches):
        found.append(pace.rows)
        pace.went(pace.rows, pace.rows * seconds_a_row)
    return found


def test_grows_to_the_time_and_no_further() -> None:
    assert sizes(Pace(10_000, 0.2), 0.0001, 7) == [100, 200, 400, 800, 1_600, 2_000, 2_000]


def test_grows_to_the_most_rows() -> None:
    assert sizes(Pace(500, 0.2), 0.000001, 5) == [100, 200, 400, 500, 500]
    assert sizes(Pace(7, 0.2), 0.000001, 3) == [7, 7, 7]


def test_shrinks_at_once_where_rows_take_long() -> None:
    assert sizes(Pace(10_000, 0.2), 0.01, 3) == [100, 20, 20]
    assert sizes(Pace(10_000, 0.2), 5.0, 3) == [100, 1, 1]


def test_last_rows_of_a_table_say_nothing_unless_they_take_too_long() -> None:
    pace = Pace(1_000, 0.2)
    pace.went(3, 0.15)
    assert pace.rows == 100
    pace.went(10, 0.4)
    assert pace.rows == 5


def test_batch_of_no_size_of_its_own_changes_none() -> None:
    pace = Pace(1_000, 0.2)
    pace.went(0, 60.0)
    assert pace.rows == 100


def test_stumbles_a_bounded_number_of_times_and_waits_longer_each_time() -> None:
    pace = Pace(10_000, 0.2)
    seen = []
    while True:
        goes_on = pace.stumbled()
        seen.append((pace.rows, round(pace.pause_seconds, 2), goes_on))
        if not goes_on:
            break
    assert seen == [
        (25, 0.1, True),
        (6, 0.2, True),
        (1, 0.4, True),
        (1, 0.8, True),
        (1, 1.6, True),
        (1, 3.2, False),
    ]


def test_batch_that_goes_through_forgives_the_stumbles_before() -> None:
    pace = Pace(10_000, 0.2)
    for _ in range(20):
        assert pace.stumbled()
        assert pace.stumbled()
        pace.went(pace.rows, 0.001)
    assert pace.stumbles == 0
