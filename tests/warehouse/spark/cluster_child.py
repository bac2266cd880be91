"""Compute labels and vectors on a cluster in a process of its own, since a process has one Spark master.

python -m tests.warehouse.spark.cluster_child STORE FACTS GALLERY MASTER        prints one JSON object
"""

import json
import sys
from pathlib import Path

from photogenic.features.compute.pipeline import compute
from photogenic.warehouse import Database, Layout, Settings, Store
from photogenic.warehouse.labels.build import build_labels
from photogenic.warehouse.spark.session import Cluster, session

PAIR = ("efficientnet_lite0", "dlib_face")


def home(batches):
    """Return the location of this program on a worker."""
    import pyarrow as pa

    from photogenic import features

    for batch in batches:
        yield pa.RecordBatch.from_pydict({"home": [features.__file__] * len(batch)})


if __name__ == "__main__":
    store, facts, gallery, master = sys.argv[1:]
    settings, cluster = Settings(memory_limit="1GB", threads=2), Cluster(master, facts)
    labels = build_labels(Store(Database(Layout(Path(store)), settings)), cluster=cluster)
    layout = Layout(Path(gallery))
    photos = compute(Store(Database(layout, settings)), PAIR, cluster=cluster)
    (found,) = session(cluster).range(1).mapInArrow(home, "home string").collect()
    told = {"labels_s": labels.seconds, "photos_s": photos.wall_s, "n_decoded": photos.n_decoded, "home": found.home}
    print(json.dumps(told))
