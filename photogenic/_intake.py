"""The methods of `FeatureStore` by which rows and pictures come into a store, and are taken back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from photogenic.warehouse import Store
from photogenic.warehouse.closing import Closing
from photogenic.warehouse.duckdb_store.live_status import report_live_status
from photogenic.warehouse.errors import ConflictError

if TYPE_CHECKING:
    from photogenic.config.values import ConfigFile
    from photogenic.ingest.config import CrawlSettings, Limits
    from photogenic.ingest.download.fetch import FetchReport
    from photogenic.ingest.instagram.crawl import CrawlReport
    from photogenic.ingest.options import IngestArguments, Rowlike, SourceOptions
    from photogenic.ingest.streams.listen import ListenReport
    from photogenic.ingest.streams.options import ListenOptions
    from photogenic.ingest.sync.report import SyncReport
    from photogenic.ingest.tabular.mapping_file import FileMapping, Given
    from photogenic.ingest.tabular.report import IngestReport
    from photogenic.ingest.thresholds import Thresholds
    from photogenic.maintenance.erase.journal import Receipt

__all__ = ["Intake"]

Kind = Literal["users", "photos", "main_photos", "swipes"]


class Intake(Closing):
    """Base class of `FeatureStore`, which opens the store.

    Attributes:
        store: open store.
        config_file: checked values of `photogenic.toml`; empty if there is none.
    """

    store: Store
    config_file: ConfigFile

    def ingest(
        self,
        kind: Kind,
        *files: Rowlike,
        images: str | Path | None = None,
        **options: Unpack[IngestArguments],
    ) -> list[IngestReport]:
        """Take in rows of one kind: users, photos, main_photos or swipes; return one report per file.

        Args:
            kind: kind of the rows.
            files: files, folders, globs or pipes; `-` is standard input; frames of polars or pandas, tables, readers
                and datasets of Arrow, dictionaries; addresses of databases and object stores. The guide of sources
                lists them. None: the sources of this kind in `photogenic.toml`.
            images: root of relative paths of photos, also of an object store, `s3://bucket/folder`; the pictures are
                copied into the store. Default: the folder of
                the file; the working folder for frames.
            options: mapping, values, units, arrived_at, max_refused, least_rows, query. See
                `ingest.options.IngestArguments`.

        Raises:
            InputError: a file is missing or cannot be read; none of its rows are kept.
            ThresholdError: too many rows were refused, or too few came. The other rows were taken in.
        """
        from photogenic.config.sources import files_to_ingest
        from photogenic.ingest.tabular.load import ingest
        from photogenic.ingest.tabular.mapping_file import mapping_of
        from photogenic.ingest.thresholds import Thresholds, enforce

        thresholds = Thresholds.of(
            self.config_file.check_of("max_refused", options.get("max_refused")),
            self.config_file.check_of("least_rows", options.get("least_rows")),
        )
        read_as = mapping_of(kind, options.get("mapping"), options.get("values"), options.get("units"))
        sources = files_to_ingest(self.config_file, kind, files, read_as, images)
        reports: list[IngestReport] = []
        with self._working() as store:
            for source in sources:
                reports += ingest(
                    *(store, kind, source.files),
                    options=_source_options(options),
                    mapping=source.mapping,
                    images=source.images,
                    arrived_at=options.get("arrived_at"),
                )
        enforce(kind, reports, thresholds)
        return reports

    def ingest_users(self, *files: Rowlike, **options: Unpack[IngestArguments]) -> list[IngestReport]:
        """Take in users: user_id, gender, followers, created_at, updated_at, deleted_at, deleted. See `ingest`."""
        return self.ingest("users", *files, **options)

    def ingest_photos(
        self, *files: Rowlike, images: str | Path | None = None, **options: Unpack[IngestArguments]
    ) -> list[IngestReport]:
        """Take in photos: photo_id, user_id, path, url, posted_at, likes, hashtags, set_at, ... See `ingest`."""
        return self.ingest("photos", *files, images=images, **options)

    def ingest_main_photos(self, *files: Rowlike, **options: Unpack[IngestArguments]) -> list[IngestReport]:
        """Take in changes of main photos: user_id, photo_id, set_at, event_id, deleted. See `ingest`."""
        return self.ingest("main_photos", *files, **options)

    def ingest_swipes(self, *files: Rowlike, **options: Unpack[IngestArguments]) -> list[IngestReport]:
        """Take in swipes: sender_id, recipient_id, liked, swiped_at, event_id, deleted. See `ingest`."""
        return self.ingest("swipes", *files, **options)

    def sync(
        self,
        *names: str,
        plan: bool = False,
        from_start: Sequence[str] = (),
        keep_position: Sequence[str] = (),
        max_refused: str | float | None = None,
        least_rows: int | None = None,
    ) -> list[SyncReport]:
        """Take in what came since the last sync from the `[[sources]]` of `photogenic.toml`; one report per source.

        Args:
            names: names of the sources. Default: all of them.
            plan: only say what would be read; nothing is written.
            from_start: names of sources that are read from the start.
            keep_position: names of sources that go on from their position although their definition has changed.
            max_refused: most rows of a kind that may be refused. Default: that of `photogenic.toml`.
            least_rows: least number of rows of a kind that must come. `least_rows` in `photogenic.toml` is about files
                to ingest, and does not count here.

        Raises:
            InputError: there is no source, or none of that name.
            SyncError: a source could not be read to its end; the others were.
            ThresholdError: too many rows were refused, or too few came. The positions are behind these rows.
        """
        from photogenic.config.sources import sources_to_sync
        from photogenic.ingest.sync.sync import failures, sync
        from photogenic.ingest.thresholds import Thresholds, enforce_all

        thresholds = Thresholds.of(self.config_file.check_of("max_refused", max_refused), least_rows)
        sources = sources_to_sync(self.config_file, names)
        chosen = {source.name for source in sources}
        sources_to_sync(self.config_file, [*from_start, *keep_position])
        if others := [name for name in (*from_start, *keep_position) if name not in chosen]:
            raise ConflictError(
                f"The source {others[0]} is not among those to sync.",
                "its name among them, or none",
                f"features sync {others[0]} --from-start {others[0]}",
            )
        if both := set(from_start) & set(keep_position):
            raise ConflictError(
                f"The source {min(both)} is to start again and to keep its position.", "one of the two", "leave one out"
            )
        with self._working() as store:
            reports = sync(store, sources, plan=plan, from_start=from_start, keep_position=keep_position)
        if (failure := failures(reports)) is not None:
            raise failure
        if not plan:
            enforce_all(reports, thresholds)
        return reports

    def retract(self, kind: Kind, *files: Rowlike, **options: Unpack[IngestArguments]) -> list[IngestReport]:
        """Take back what had come in: each row names one thing that does not hold; return one report per file.

        Args:
            kind: kind of the rows: users, photos, main_photos or swipes.
            files: files, frames or others, as for `ingest`, with an id in each row; of events the `event_id`, or the
                columns that name the event.
            options: mapping, values, units, arrived_at, max_refused, least_rows, query. See
                `ingest.options.IngestArguments`. `least_rows` in `photogenic.toml` is about files to ingest, and does
                not count here.

        Raises:
            InputError: a file is missing or cannot be read; nothing of it is taken back.
            ThresholdError: too many rows were refused, or too few came. The other rows were taken back.
        """
        from photogenic.ingest.tabular.load import ingest
        from photogenic.ingest.thresholds import enforce

        thresholds = self._thresholds(options)
        with self._working() as store:
            reports = ingest(
                *(store, kind, files),
                options=_source_options(options),
                mapping=self._mapping(kind, options),
                arrived_at=options.get("arrived_at"),
                retract=True,
            )
        enforce(kind, reports, thresholds)
        return reports

    def purge(self, *files: Rowlike, **options: Unpack[IngestArguments]) -> tuple[list[IngestReport], list[Receipt]]:
        """Delete the photos that files name, like `retract`, and remove their bytes, faces and vectors at once.

        Return one report per file, and the receipts. See `maintenance.erase.purge.retract_and_purge`.
        """
        from photogenic.ingest.thresholds import enforce
        from photogenic.maintenance.erase.purge import retract_and_purge

        thresholds = self._thresholds(options)
        with self._working() as store:
            mapping = self._mapping("photos", options)
            reports, receipts = retract_and_purge(
                *(store, files),
                options=_source_options(options),
                mapping=mapping,
                arrived_at=options.get("arrived_at"),
            )
        enforce("photos", reports, thresholds)
        return reports, receipts

    def _thresholds(self, options: IngestArguments) -> Thresholds:
        """Return the limits of a retraction."""
        from photogenic.ingest.thresholds import Thresholds

        return Thresholds.of(
            self.config_file.check_of("max_refused", options.get("max_refused")), options.get("least_rows")
        )

    def _mapping(self, kind: Kind, options: IngestArguments) -> FileMapping:
        """Return how files are read: as `photogenic.toml` says, with what the call says over it."""
        from photogenic.ingest.tabular.mapping_file import mapping_of

        given = mapping_of(kind, options.get("mapping"), options.get("values"), options.get("units"))
        return self.config_file.mapping(kind) | given

    def crawl(
        self,
        *,
        usernames: Sequence[str] = (),
        hashtags: Sequence[str] = (),
        top: bool = False,
        settings: CrawlSettings | None = None,
    ) -> CrawlReport:
        """Take in posts of accounts and hashtags from Instagram. See `ingest.instagram.crawl.crawl`."""
        from photogenic.ingest.instagram.crawl import crawl

        with self._working() as store:
            return crawl(store, usernames=usernames, hashtags=hashtags, top=top, settings=settings)

    def fetch(self, *, retry: Sequence[str] = (), limits: Limits | None = None) -> FetchReport:
        """Download the photos that are known by URL only. See `ingest.download.fetch.fetch`."""
        from photogenic.ingest.download.fetch import fetch

        with self._working() as store:
            return fetch(store, retry=tuple(retry), limits=limits)

    def listen(
        self,
        uri: str,
        kind: Kind,
        options: ListenOptions | None = None,
        *,
        images: str | Path | None = None,
        mapping: Given = None,
        values: Mapping[str, Mapping[str, Any]] | None = None,
        units: Mapping[str, str] | None = None,
    ) -> ListenReport:
        """Take in the events of a topic of Kafka, each exactly once, until a signal ends it.

        Args:
            uri: address of the topic: `kafka://HOST:PORT/TOPIC`.
            kind: kind of the rows: users, photos, main_photos or swipes.
            options: where to begin, when to stop, and sizes of batches.
            images: root of relative paths of photos.
            mapping: mapping of columns, as for `ingest`.
            values: what words stand for, as for `ingest`.
            units: units of numbers in columns of times, as for `ingest`.

        Raises:
            InputError: the topic cannot be read, or the broker has no longer what follows. No event is skipped.
        """
        from photogenic.ingest.streams.listen import listen
        from photogenic.ingest.tabular.mapping_file import mapping_of

        read_as = self.config_file.mapping(kind) | mapping_of(kind, mapping, values, units)
        root = Path(images) if images is not None else None
        with self._working() as store:
            return listen(store, uri, kind, options, mapping=read_as, images=root)

    @contextlib.contextmanager
    def _working(self) -> Iterator[Store]:
        """Yield the store for a task that takes the writer's lock; `status` shows its progress to other processes."""
        with report_live_status(self.store.layout, self.store.progress) as progress:
            yield self.store.reporting_to(progress)


def _source_options(options: IngestArguments) -> SourceOptions:
    """Return the options of sources other than files."""
    from photogenic.ingest.options import SourceOptions

    return SourceOptions(query=options.get("query"))
