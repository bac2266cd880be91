-- From version 2: two clocks, versions of events, deletions, and an account of each file in which what the store had
-- already is known, not refused. A build as of an instant counted what had happened and arrived before it.
alter table facts.clock rename to former_clock;
create table facts.clock (as_of timestamp not null, known_at timestamp not null, observed_at timestamp not null);
insert into facts.clock select as_of, as_of, observed_at from facts.former_clock;
drop table facts.former_clock;

alter table facts.ingests rename to former_ingests;
create table facts.ingests (
    ingest_id varchar not null,
    kind varchar not null,
    source varchar not null,
    sha256 varchar not null,
    n_read bigint not null,
    n_new bigint not null,
    n_corrected bigint not null,
    n_retracted bigint not null,
    n_known bigint not null,
    n_refused bigint not null,
    refused varchar not null,
    duration_s double not null,
    ingested_at timestamp not null,
    batch integer not null
);
insert into facts.ingests
with reasons as (
    select kind, ingested_at, reason, count(*) as n_rows
    from facts.rejects
    group by kind, ingested_at, reason
),

files as (
    select
        kind,
        ingested_at,
        coalesce(sum(n_rows) filter (where reason = 'duplicate'), 0) as n_duplicates,
        string_agg(format('"{}": {}', reason, n_rows), ', ' order by reason) filter (reason <> 'duplicate') as refused
    from reasons
    group by kind, ingested_at
)

select
    held.ingest_id,
    held.kind,
    held.source,
    held.sha256,
    held.n_read,
    held.n_kept - held.n_unchanged,
    0,
    0,
    held.n_unchanged + coalesce(files.n_duplicates, 0),
    held.n_rejected - coalesce(files.n_duplicates, 0),
    '{' || coalesce(files.refused, '') || '}',
    0,
    held.ingested_at,
    row_number() over (order by held.ingested_at, held.ingest_id)
from facts.former_ingests as held
left join files on held.kind = files.kind and held.ingested_at = files.ingested_at;
drop table facts.former_ingests;
delete from facts.rejects where reason = 'duplicate';

alter table facts.users add column updated_at timestamp;
alter table facts.users add column deleted_at timestamp;
alter table facts.users add column batch integer default 0;
alter table facts.users alter column batch set not null;
alter table facts.photos add column updated_at timestamp;
alter table facts.photos add column deleted_at timestamp;
alter table facts.photos add column batch integer default 0;
alter table facts.photos alter column batch set not null;

alter table facts.main_photos add column batch integer default 0;
alter table facts.main_photos alter column batch set not null;
alter table facts.main_photos add column event_id varchar;
create table facts.replaced_main_photos (
    user_id varchar not null,
    photo_id varchar,
    set_at timestamp not null,
    ingested_at timestamp not null,
    batch integer not null,
    event_id varchar,
    replaced_at timestamp not null,
    replaced_batch integer not null
);
create table facts.retracted_main_photos (
    user_id varchar,
    set_at timestamp,
    ingested_at timestamp not null,
    batch integer not null,
    event_id varchar
);

-- Rows of one user and instant that arrived at different times: the last arrival holds, with all its photos.
create temp table doubled as
select hash(user_id, set_at) as h from facts.main_photos group by h having min(ingested_at) < max(ingested_at);
create temp table versions as
select rowid as place, user_id, photo_id, set_at, ingested_at, max(ingested_at) over event as last, min(ingested_at) over (
    partition by user_id, set_at order by ingested_at range between interval 1 microsecond following and unbounded following
) as replaced_at
from facts.main_photos
where hash(user_id, set_at) in (select h from doubled)
window event as (partition by user_id, set_at);
insert into facts.replaced_main_photos
select user_id, photo_id, set_at, ingested_at, 0, null, replaced_at, 0 from versions where ingested_at < last;
delete from facts.main_photos where rowid in (select place from versions where ingested_at < last);
drop table versions;
drop table doubled;

alter table facts.swipes add column batch integer default 0;
alter table facts.swipes alter column batch set not null;
alter table facts.swipes add column event_id varchar;
create table facts.replaced_swipes (
    sender_id varchar not null,
    recipient_id varchar not null,
    liked boolean not null,
    swiped_at timestamp not null,
    ingested_at timestamp not null,
    batch integer not null,
    event_id varchar,
    replaced_at timestamp not null,
    replaced_batch integer not null
);
create table facts.retracted_swipes (
    sender_id varchar,
    recipient_id varchar,
    swiped_at timestamp,
    ingested_at timestamp not null,
    batch integer not null,
    event_id varchar
);

-- A like and a pass of one sender, recipient and instant were two swipes. Now the one that arrived last holds; of those
-- that arrived together, the like.
create temp table doubled as
select hash(sender_id, recipient_id, swiped_at) as h from facts.swipes group by h having count(*) > 1;
create temp table versions as
select
    rowid as place,
    sender_id,
    recipient_id,
    liked,
    swiped_at,
    ingested_at,
    lead(ingested_at) over (
        partition by sender_id, recipient_id, swiped_at order by ingested_at, liked
    ) as replaced_at
from facts.swipes
where hash(sender_id, recipient_id, swiped_at) in (select h from doubled);
insert into facts.replaced_swipes
select sender_id, recipient_id, liked, swiped_at, ingested_at, 0, null, replaced_at, 0
from versions
where ingested_at < replaced_at;
delete from facts.swipes where rowid in (select place from versions where replaced_at is not null);
drop table versions;
drop table doubled;

alter table facts.builds add column known_at timestamp;
update facts.builds set known_at = as_of;
