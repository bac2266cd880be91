"""Metrics in the text format of Prometheus: counters, histograms and gauges."""

from photogenic.app.serve.http.metrics import Metrics


def test_buckets_are_cumulative_and_end_with_the_count():
    metrics = Metrics()
    for seconds in (0.002, 0.0021, 0.3, 60.0):
        metrics.count("GET", "/photos/{photo_id}", 200, seconds)
    metrics.count("POST", "/similar", 404, 0.001)
    lines = metrics.text({"photogenic_photos": ("Photos in the snapshot.", 12)}).splitlines()
    assert 'photogenic_requests_total{method="GET",route="/photos/{photo_id}",status="200"} 4' in lines
    assert 'photogenic_requests_total{method="POST",route="/similar",status="404"} 1' in lines
    start = 'photogenic_request_seconds_bucket{route="/photos/{photo_id}",le='
    buckets = [line.removeprefix(start).split("} ") for line in lines if line.startswith(start)]
    assert buckets[:3] == [['"0.002"', "1"], ['"0.005"', "2"], ['"0.01"', "2"]]
    assert buckets[-2:] == [['"10.0"', "3"], ['"+Inf"', "4"]]
    assert 'photogenic_request_seconds_sum{route="/photos/{photo_id}"} 60.304100' in lines
    assert 'photogenic_request_seconds_count{route="/photos/{photo_id}"} 4' in lines
    assert lines[-3:] == [
        "# HELP photogenic_photos Photos in the snapshot.",
        "# TYPE photogenic_photos gauge",
        "photogenic_photos 12",
    ]


def test_instants_keep_their_seconds():
    text = Metrics().text({"photogenic_x": ("Help.", 1_717_200_001.0)})
    assert text.endswith("photogenic_x 1717200001\n")


def test_each_metric_is_described_once():
    metrics = Metrics()
    metrics.count("GET", "/a", 200, 0.1)
    metrics.count("GET", "/b", 200, 0.1)
    described = [line.split()[2] for line in metrics.text({}).splitlines() if line.startswith("# TYPE")]
    assert described == ["photogenic_requests_total", "photogenic_request_seconds"]
