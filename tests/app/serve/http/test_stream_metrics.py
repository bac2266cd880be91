"""Metrics and status of listeners of streams."""

from photogenic.app.serve.http.store_metrics import stream_families
from photogenic.ingest.streams.address import Address
from photogenic.ingest.streams.listeners import ListenerState, listening, read_listeners, report_state
from photogenic.warehouse import Layout

ADDRESS = Address.of("kafka://broker:9092/swipes")


def values(layout):
    return {family.name: {str(sorted(labels.items())): value for labels, value in family.values}
            for family in stream_families(read_listeners(layout))}  # fmt: skip


def test_a_listener_is_up_until_its_process_ends_and_its_lag_stays(tmp_path):
    layout = Layout(tmp_path)
    state = ListenerState(str(ADDRESS), "swipes")
    with listening(layout, ADDRESS, state):
        state.state, state.n_events, state.n_refused, state.lag = "reading", 10, 3, {"0": 5, "10": 2}
        report_state(layout, ADDRESS, state)
        now = values(layout)
        source = "[('source', 'kafka://broker:9092/swipes')]"
        assert (now["photogenic_stream_up"][source], now["photogenic_stream_connected"][source]) == (1, 1)
        assert list(now["photogenic_stream_lag"].values()) == [5, 2]
        assert list(now["photogenic_stream_events_total"].values()) == [7, 3]
        state.state = "broker away"
        report_state(layout, ADDRESS, state)
        assert values(layout)["photogenic_stream_connected"][source] == 0
    after = values(layout)
    assert after["photogenic_stream_up"][source] == 0
    assert list(after["photogenic_stream_lag"].values()) == [5, 2]


def test_a_listener_that_was_killed_is_told_as_failed(tmp_path):
    layout = Layout(tmp_path)
    layout.listeners.mkdir()
    report_state(layout, ADDRESS, ListenerState(str(ADDRESS), "swipes", state="reading"))
    (one,) = read_listeners(layout)
    assert (one["state"], one["why"], one["process"]) == ("failed", "its process was killed", None)


def test_files_that_are_no_states_are_left_out(tmp_path):
    layout = Layout(tmp_path)
    assert read_listeners(layout) == []
    layout.listeners.mkdir()
    (layout.listeners / "a.json").write_text("{")
    (layout.listeners / "b.json").write_text('{"source": 7}')
    assert read_listeners(layout) == []
    assert stream_families([]) == []
