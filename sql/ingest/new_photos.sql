-- new_photos: each row of a file about a photo as a version, and what it brings: `new`, `corrected`, `retracted`, `known`.
--
-- parameters: has_path, has_url, has_posted_at, has_likes, has_hashtags,
--             has_deleted_at: whether the file has the column; retract: whether every row deletes its photo
--
-- A version is true from its updated_at on; without it, from its arrival. Columns that the file lacks keep the values
-- of the version before. A version older than the newest one changes nothing for who reads the newest: it counts as
-- `known`, and is stored for who reads an earlier moment. `is_back`: without updated_at, a row returned to values that
-- the photo had before.
with given as (
    select
        judged.* exclude (ingested_at, arrival),
        judged.arrival as ingested_at,
        coalesce(judged.updated_at, judged.arrival) as true_from
    from judged
    where verdict is null and is_last
),

stored as (
    select
        photos.*,
        coalesce(photos.updated_at, photos.ingested_at) as true_from,
        {path: photos.path, url: photos.url, posted_at: photos.posted_at, likes: photos.likes, hashtags: photos.hashtags, deleted_at: photos.deleted_at} as content
    from facts.photos
    semi join judged on photos.photo_id = judged.photo_id
),

held as (
    select stored.*, given.line
    from given
    inner join stored
        on given.photo_id = stored.photo_id
        and given.true_from >= stored.true_from
        and given.ingested_at >= stored.ingested_at
    qualify row_number() over (
        partition by given.line
        order by stored.true_from desc, stored.ingested_at desc, stored.batch desc, stored.user_id, stored.path
    ) = 1
),

newest as (
    select photo_id, max({instant: true_from, arrived: ingested_at}) as stands
    from stored
    group by photo_id
),

versions as (
    select
        given.line,
        given.photo_id,
        coalesce(given.user_id, held.user_id) as user_id,
        case when $has_path then given.path else held.path end as path,
        case when $has_url then given.url else held.url end as url,
        case when $has_posted_at then given.posted_at else held.posted_at end as posted_at,
        case when $has_likes then given.likes else held.likes end as likes,
        case when $has_hashtags then given.hashtags else held.hashtags end as hashtags,
        case
            when given.deleted_at is not null then given.deleted_at
            when $retract or given.deleted then coalesce(held.deleted_at, given.ingested_at)
            when given.deleted = false or $has_deleted_at then null
            else held.deleted_at
        end as deleted_at,
        given.ingested_at,
        given.updated_at,
        given.true_from,
        held.true_from as held_from,
        held.content as held_content,
        coalesce(newest.stands > {instant: given.true_from, arrived: given.ingested_at}, false) as is_older
    from given
    left join held on given.line = held.line
    left join newest on given.photo_id = newest.photo_id
),

contents as (
    select *, {path: path, url: url, posted_at: posted_at, likes: likes, hashtags: hashtags, deleted_at: deleted_at} as content
    from versions
),

-- The version of the same file that was true before, and had arrived.
formers as (
    select contents.line, former.content, former.true_from
    from contents
    inner join contents as former
        on contents.photo_id = former.photo_id
        and contents.ingested_at >= former.ingested_at
        and row(contents.true_from, contents.ingested_at, contents.line)
        > row(former.true_from, former.ingested_at, former.line)
    qualify row_number() over (
        partition by contents.line order by former.true_from desc, former.ingested_at desc, former.line desc
    ) = 1
),

chained as (
    select
        contents.*,
        formers.content as former_content,
        formers.true_from as former_from
    from contents
    left join formers on contents.line = formers.line
),

compared as (
    select
        chained.*,
        case when former_from > held_from or held_from is null then former_content else held_content end as before,
        greatest(former_from, held_from) as before_from
    from chained
),

told as (
    select
        compared.*,
        case
            when content is not distinct from before or is_older then 'known'
            when deleted_at is not null and before.deleted_at is null and (before is not null or $retract) then 'retracted'
            when before is not null then 'corrected'
            else 'new'
        end as outcome
    from compared
),

former as (
    select distinct photo_id, content
    from stored
)

select
    told.line,
    told.photo_id,
    told.user_id,
    told.path,
    told.url,
    told.posted_at,
    told.likes,
    told.hashtags,
    told.ingested_at,
    told.updated_at,
    told.deleted_at,
    told.outcome,
    told.content is distinct from told.before or coalesce(told.updated_at > told.before_from, false) as is_stored,
    told.outcome = 'corrected' and told.updated_at is null and former.photo_id is not null as is_back
from told
left join former on told.photo_id = former.photo_id and told.content = former.content
