"""How long two threads take to meet."""

from fastbp.kernels.machine import meeting


def test_two_threads_meet():
    assert 0 < meeting.measure() < float("inf")


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


def test_a_measurement_that_took_long_holds_for_longer(monkeypatch):
    """Where others want the cores threads may take a second to meet so often."""
    clock = [0.0]

    def slow():
        clock[0] += 2.0
        return 1e-4

    monkeypatch.setattr(meeting, "measure", slow)
    monkeypatch.setattr(meeting.time, "monotonic", lambda: clock[0])
    meetings = meeting.Meetings()
    for now, want in (1.0, 3.0), (40.0, 40.0), (44.0, 46.0):
        clock[0] = now
        meetings.refresh()
        assert clock[0] == want


def test_runs_end_when_the_first_has_taken_long(monkeypatch):
    clock, teams = [0.0], []

    def slow(*_, **__):
        clock[0] += 0.1
        teams.append(clock[0])

    monkeypatch.setattr(meeting, "run_team", slow)
    monkeypatch.setattr(meeting.time, "perf_counter", lambda: clock[0])
    assert 0 < meeting.measure() < 1e-3
    assert len(teams) == 2  # with the one that wakes the other thread
