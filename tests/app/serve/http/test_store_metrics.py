"""Metrics of the store in the text format of Prometheus, read back by a strict parser."""

import datetime as dt
import re

import pytest

from photogenic.app.serve.http.metrics import Family, Metrics
from photogenic.app.serve.http.store_metrics import StoreMetrics, families
from photogenic.features import health
from photogenic.features.build import build
from photogenic.features.build_options import BuildOptions
from photogenic.features.health import measure
from tests.ingest.ingest_store import SWIPES, StoreWithFiles

LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\\\|\\"|\\n)*"'
SAMPLE = re.compile(rf"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{{({LABEL}(?:,{LABEL})*)?\}})? (-?[0-9.]+(?:e[+-]?[0-9]+)?)")
UNESCAPED = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}
PAIR = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')


def parsed(text):
    """Samples by name and labels. Every sample belongs to the description above it, and none occurs twice."""
    assert text.endswith("\n")
    found, described, current = {}, set(), None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            current = line.split(" ")[2]
            assert current not in described
            described.add(current)
        elif line.startswith("# TYPE "):
            assert line.split(" ")[2:] in ([current, "counter"], [current, "gauge"], [current, "histogram"])
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            assert match[1].startswith(current)
            labels = frozenset(
                (name, re.sub(r"\\.", lambda one: UNESCAPED[one[0]], value))
                for name, value in PAIR.findall(match[2] or "")
            )
            assert (match[1], labels) not in found
            found[match[1], labels] = float(match[3])
    return found


def value(found, name, **labels):
    return found[f"photogenic_{name}", frozenset(labels.items())]


@pytest.fixture
def files(tmp_path):
    return StoreWithFiles(tmp_path)


def read(files, now=None):
    return parsed(Metrics().text({}, families(measure(files.store), now or files.now)))


def test_rows_by_kind_outcome_and_reason(files):
    files.take_text("swipes", SWIPES + "a,b,yes,2024-01-01\na,c,glorp,2024-01-01\na,c,yes,\n")
    found = read(files)
    assert value(found, "ingested_rows_total", kind="swipes", outcome="new") == 1
    assert value(found, "ingested_rows_total", kind="swipes", outcome="refused") == 2
    assert value(found, "refused_rows_total", kind="swipes", reason="bad_liked") == 1
    assert value(found, "refused_rows_total", kind="swipes", reason="no_time") == 1


def test_age_staleness_and_the_last_build(files):
    files.take_text("swipes", SWIPES + "a,b,yes,2024-01-01\n")
    found = read(files)
    assert value(found, "labels_stale") == 1
    names = {name for name, _ in found}
    assert not names & {"photogenic_labels_age_seconds", "photogenic_last_build_success"}
    build(files.store, BuildOptions(only="labels"))
    found = read(files, files.now + dt.timedelta(hours=5))
    assert value(found, "labels_stale") == 0
    assert value(found, "labels_age_seconds") == 5 * 3600
    assert value(found, "last_build_success") == 1
    assert abs(value(found, "last_build_timestamp_seconds") - dt.datetime.now(dt.UTC).timestamp()) < 60
    text = files.db.layout.last_build.read_text()
    files.db.layout.last_build.write_text(text.replace('"done"', '"running"').replace('"pid": ', '"pid": 9'))
    assert value(read(files), "last_build_success") == 0


def test_a_scrape_measures_only_after_a_change(files, monkeypatch):
    files.take_text("swipes", SWIPES + "a,b,yes,2024-01-01\n")
    calls = []
    monkeypatch.setattr(
        "photogenic.app.serve.http.store_metrics.measure", lambda store: calls.append(1) or health.measure(store)
    )
    metrics = StoreMetrics(files.store)
    for _ in range(3):
        metrics.current()
    assert len(calls) == 1
    build(files.store, BuildOptions(only="labels"))
    found = parsed(Metrics().text({}, metrics.current()))
    assert (len(calls), value(found, "labels_stale")) == (2, 0)


def test_a_store_that_cannot_be_read_keeps_the_last_values(files):
    files.take_text("swipes", SWIPES + "a,b,yes,2024-01-01\n")
    metrics = StoreMetrics(files.store)
    before = [family.name for family in metrics.current()]
    files.db.layout.snapshot.write_bytes(b"damaged")
    assert [family.name for family in metrics.current()] == before


def test_values_of_labels_are_escaped():
    hostile = 'a"b\\c\nd{x="1"} 5'
    text = Metrics().text({}, [Family("photogenic_x", "Help.", "gauge", [({"encoder": hostile}, 3)])])
    assert value(parsed(text), "x", encoder=hostile) == 3


def test_large_counts_keep_their_digits():
    text = Metrics().text({}, [Family("photogenic_x", "Help.", "counter", [({}, 123_456_789_012)])])
    assert "photogenic_x 123456789012" in text.splitlines()
