"""What is seen to be quick."""

from __future__ import annotations

from graphctx_onnx.server.pace import MOST_SHAPES, RUNS, Pace


def paced(*seconds: float) -> bool:
    """Whether a program that took so long is quick, at 1 ms."""
    pace = Pace(0.001)
    for value in seconds:
        pace.ran("shapes", value)
    return pace.is_quick("shapes")


def test_many_quick_runs_are_quick() -> None:
    assert not paced(*[0.0005] * (RUNS - 1))
    assert paced(*[0.0005] * RUNS)


def test_some_may_have_been_disturbed_but_not_many_and_not_much() -> None:
    quick, slow, blocked = 0.0005, 0.005, 0.02
    assert paced(*[quick] * 12, *[slow] * 4)
    assert not paced(*[quick] * 11, *[slow] * 5)
    assert not paced(*[quick] * 100, blocked)
    assert paced(blocked, *[quick] * RUNS)


def test_shapes_are_apart_and_bounded() -> None:
    pace = Pace(0.001)
    for shape in range(2 * MOST_SHAPES):
        for _ in range(RUNS):
            pace.ran(shape, 0.0005)
    assert pace.is_quick(MOST_SHAPES - 1)
    assert not pace.is_quick(MOST_SHAPES)


def test_it_can_be_turned_off() -> None:
    pace = Pace(0.0)
    for _ in range(RUNS):
        pace.ran("shapes", 0.0)
    assert not pace.is_quick("shapes")
