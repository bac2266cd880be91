"""The methods of `FeatureStore` by which rows and pictures come into a store, and are taken back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

from photogenic.warehouse import Store
from photogenic.warehouse.closing import Closing
from photogenic.warehouse.duckdb_store.live_status import report_live_status

if TYPE_CHECKING:
    from photogenic.config.values import ConfigFile
    from photogenic.ingest.config import CrawlSettings, Limits
    from photogenic.ingest.download.fetch import FetchReport
    from photogenic.ingest.instagram.crawl import CrawlReport
    from photogenic.ingest.options import IngestArguments
    from photogenic.ingest.tabular.mapping_file import FileMapping
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
        *files: str | Path,
        images: str | Path | None = None,
        **options: Unpack[IngestArguments],
    ) -> list[IngestReport]:
        """Take in rows of one kind: users, photos, main_photos or swipes; return one report per file.

        Args:
            kind: kind of the rows.
            files: files, folders, globs or pipes; `-` is standard input. The guide of `ingest` lists the formats.
                None: the sources of this kind in `photogenic.toml`.
            images: root of relative paths of photos; the pictures are copied into the store.
            options: mapping, values, units, arrived_at, max_refused, least_rows. See `ingest.options.IngestArguments`.

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
        sources = files_to_ingest(self.config_file, kind, files, read_as, Path(images) if images is not None else None)
        reports: list[IngestReport] = []
        with self._working() as store:
            for source in sources:
                reports += ingest(
                    *(store, kind, source.files),
                    mapping=source.mapping,
                    images=source.images,
                    arrived_at=options.get("arrived_at"),
                )
        enforce(kind, reports, thresholds)
        return reports

    def ingest_users(self, *files: str | Path, **options: Unpack[IngestArguments]) -> list[IngestReport]:
        """Take in users: user_id, gender, followers, created_at, updated_at, deleted_at, deleted. See `ingest`."""
        return self.ingest("users", *files, **options)

    def ingest_photos(
        self, *files: str | Path, images: str | Path | None = None, **options: Unpack[IngestArguments]
    ) -> list[IngestReport]:
        """Take in photos: photo_id, user_id, path, url, posted_at, likes, hashtags, set_at, ... See `ingest`."""
        return self.ingest("photos", *files, images=images, **options)

    def ingest_main_photos(self, *files: str | Path, **options: Unpack[IngestArguments]) -> list[IngestReport]:
        """Take in changes of main photos: user_id, photo_id, set_at, event_id, deleted. See `ingest`."""
        return self.ingest("main_photos", *files, **options)

    def ingest_swipes(self, *files: str | Path, **options: Unpack[IngestArguments]) -> list[IngestReport]:
        """Take in swipes: sender_id, recipient_id, liked, swiped_at, event_id, deleted. See `ingest`."""
        return self.ingest("swipes", *files, **options)

    def retract(self, kind: Kind, *files: str | Path, **options: Unpack[IngestArguments]) -> list[IngestReport]:
        """Take back what had come in: each row names one thing that does not hold; return one report per file.

        Args:
            kind: kind of the rows: users, photos, main_photos or swipes.
            files: files with an id in each row; of events the `event_id`, or the columns that name the event.
            options: mapping, values, units, arrived_at, max_refused, least_rows. See `ingest.options.IngestArguments`.
                `least_rows` in `photogenic.toml` is about files to ingest, and does not count here.

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
                mapping=self._mapping(kind, options),
                arrived_at=options.get("arrived_at"),
                retract=True,
            )
        enforce(kind, reports, thresholds)
        return reports

    def purge(self, *files: str | Path, **options: Unpack[IngestArguments]) -> tuple[list[IngestReport], list[Receipt]]:
        """Delete the photos that files name, like `retract`, and remove their bytes, faces and vectors at once.

        Return one report per file, and the receipts. See `maintenance.erase.purge.retract_and_purge`.
        """
        from photogenic.ingest.thresholds import enforce
        from photogenic.maintenance.erase.purge import retract_and_purge

        thresholds = self._thresholds(options)
        with self._working() as store:
            mapping = self._mapping("photos", options)
            reports, receipts = retract_and_purge(store, files, mapping=mapping, arrived_at=options.get("arrived_at"))
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

    @contextlib.contextmanager
    def _working(self) -> Iterator[Store]:
        """Yield the store for a task that takes the writer's lock; `status` shows its progress to other processes."""
        with report_live_status(self.store.layout, self.store.progress) as progress:
            yield self.store.reporting_to(progress)
