"""Streams of events: the messages of a topic of Kafka, in small batches.

In: the address of a topic. Out: batches as `InputFile`, which `ingest.tabular` loads like files, with the offsets that
they reach. `features.status` and the metrics of the server read how far a listener is.
"""

__all__: list[str] = []
