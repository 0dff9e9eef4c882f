"""How long two threads take to meet."""

from fastbp.kernels.machine import meeting
from fastbp.kernels.machine.sizes import Speeds, check_speeds


def test_two_threads_meet_and_their_time_is_one_that_speeds_may_have():
    check_speeds(Speeds(barrier=meeting.measure()))


def test_a_measurement_holds_for_a_while(monkeypatch):
    clock, made = [0.0], iter([2e-7, 3e-7])
    monkeypatch.setattr(meeting, "measure", lambda: next(made))
    monkeypatch.setattr(meeting.time, "monotonic", lambda: clock[0])
    meetings = meeting.Meetings()
    assert meetings.seconds is None
    for now, want in (5.0, 2e-7), (5.9, 2e-7), (6.1, 3e-7), (7.0, 3e-7):
        clock[0] = now
        meetings.refresh()
        assert meetings.seconds == want
