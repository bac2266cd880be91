"""Folders and object stores: the one place that opens an address for listing, reading and writing.

    location = open_location("s3://bucket/folder")
    with (location / "a.parquet").read() as stream: ...
    with (location / "b.parquet").write() as file: ...

pyarrow.fs does the work: local folders, `s3://` and `s3a://`, `gs://`, `az://` and `abfs://`, `hdfs://`. Credentials
and endpoints come from the standard environment of each service; `?endpoint_override=`, `?region=`, `?scheme=` and
`?anonymous=true` in the address precede it. A server that is dead or hangs is given up after some tries
(FEATURES_NETWORK_TIMEOUT seconds each). A reader sees the old or the new file, never a part of one.
"""

from photogenic.warehouse.filesystems.addresses import is_remote, local_path, printable_address
from photogenic.warehouse.filesystems.location import Entry, Location
from photogenic.warehouse.filesystems.opening import filesystem_of, network_timeout_s, open_location
from photogenic.warehouse.filesystems.storage_errors import clear_errors

__all__ = [
    "Entry",
    "Location",
    "clear_errors",
    "filesystem_of",
    "is_remote",
    "local_path",
    "network_timeout_s",
    "open_location",
    "printable_address",
]
