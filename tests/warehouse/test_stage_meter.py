import pytest

from photogenic.warehouse.stage_meter import StageMeter, clock_time


class Stage:
    """A stage and its clock."""

    def __init__(self, total=None, unit="photos", **options):
        self.now = 100.0
        self.meter = StageMeter("photos", total, unit, clock=lambda: self.now, **options)

    def work(self, seconds, n, times=1):
        for _ in range(times):
            self.now += seconds
            self.meter.advance(n)
        return self.meter


def test_rate_and_remaining_time():
    meter = Stage(1000).work(1, 10, times=20)
    assert (meter.amount(), meter.rate(), meter.left(), meter.seconds) == (
        "200 of 1,000 photos",
        "10/s",
        "1:20 left",
        20,
    )


def test_nothing_done_has_no_rate_and_no_remaining_time():
    stage = Stage(10)
    stage.now += 60
    assert (stage.meter.amount(), stage.meter.rate(), stage.meter.left()) == ("0 of 10 photos", "", "")


def test_an_unknown_total_has_a_rate_only():
    meter = Stage().work(1, 1500, times=3)
    assert (meter.amount(), meter.rate(), meter.left()) == ("4,500 photos", "1,500/s", "")
    assert Stage().meter.amount() == ""


def test_a_bound_is_called_one():
    meter = Stage(4500, "updates", at_most=True).work(1, 5, times=10)
    assert (meter.amount(), meter.left()) == ("50 of up to 4,500 updates", "at most 14:50 left")


def test_the_rate_follows_the_last_half_minute():
    stage = Stage(100_000)
    stage.work(1, 1, times=100)
    assert stage.work(1, 100, times=60).per_s == pytest.approx(100)


def test_units_that_take_longer_than_the_window_have_a_rate():
    assert Stage(36, "heads").work(120, 1, times=3).rate() == "0.5/min"


def test_the_remaining_time_goes_down_between_two_units_but_not_below_zero():
    stage = Stage(10)
    stage.work(10, 1, times=8)
    assert stage.meter.left() == "0:20 left"
    stage.now += 5
    assert stage.meter.left() == "0:15 left"
    stage.now += 60
    assert stage.meter.left() == "0:00 left"


def test_units_that_were_done_before_the_start_do_not_count_for_the_rate():
    stage = Stage(1000, "updates")
    stage.meter.advance(500)
    assert stage.work(1, 5, times=10).rate() == "5/s"
    assert stage.meter.amount() == "550 of 1,000 updates"


def test_more_units_than_the_total_have_no_remaining_time():
    assert Stage(10).work(1, 20).left() == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (376, "6:16"), (3723, "1:02:03"), (360_000, "100:00:00")]
)
def test_times_are_like_those_of_a_clock(seconds, text):
    assert clock_time(seconds) == text
