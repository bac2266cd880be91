-- new_versions: each row of a file about users or photos as a version, and what it brings: `new`, `corrected`,
-- `retracted` or `known`.
--
-- reads:      described: line, id, what the row says (`said`), its deletion, updated_at and arrival (`ingested_at`)
--             described_before: the versions in the store of the same ids: id, content, updated_at, ingested_at, batch
--             completed(said, before, deleted_at), a macro: what a row says, with the columns that the file lacks from
--             the version before
-- parameters: has_deleted_at: whether the file has the column; retract: whether every row deletes what it names
--
-- A version is true from its updated_at on; without it, from its arrival. It follows the last version that was true
-- and had arrived by then, in the store or in the file. What its row does not say, it takes from that version.
-- A version older than the newest one changes nothing for who reads the newest: it counts as `known`, and is stored
-- for who reads an earlier moment. `is_back`: without updated_at, a row returned to values that were corrected before.
with recursive given as (
    select *, coalesce(updated_at, ingested_at) as true_from
    from described
),

stored as (
    select *, coalesce(updated_at, ingested_at) as true_from
    from described_before
),

held as (
    select stored.*, given.line
    from given
    inner join stored
        on given.id = stored.id
        and given.true_from >= stored.true_from
        and given.ingested_at >= stored.ingested_at
    qualify row_number() over (
        partition by given.line
        order by stored.true_from desc, stored.ingested_at desc, stored.batch desc, stored.content
    ) = 1
),

formers as (
    select given.line, former.line as former_line, former.true_from, former.ingested_at
    from given
    inner join given as former
        on given.id = former.id
        and given.ingested_at >= former.ingested_at
        and row(given.true_from, given.ingested_at, given.line)
        > row(former.true_from, former.ingested_at, former.line)
    qualify row_number() over (
        partition by given.line order by former.true_from desc, former.ingested_at desc, former.line desc
    ) = 1
),

newest as (
    select id, max({instant: true_from, arrived: ingested_at}) as stands
    from stored
    group by id
),

-- Each row with what it follows: a row of the file, or a version in the store or nothing (minus the line).
links as materialized (
    select
        given.*,
        held.content as held_content,
        held.true_from as held_from,
        case
            when formers.line is null then -given.line
            when row(formers.true_from, formers.ingested_at) < row(held.true_from, held.ingested_at)
                and held.line is not null then -given.line
            else formers.former_line
        end as follows,
        coalesce(newest.stands > {instant: given.true_from, arrived: given.ingested_at}, false) as is_older
    from given
    left join held on given.line = held.line
    left join formers on given.line = formers.line
    left join newest on given.id = newest.id
),

versions as (
    select
        follows as line,
        held_content as content,
        held_from as stands_from,
        held_content as before,
        false as is_stored
    from links
    where follows = -line
    union all
    select
        line,
        content,
        case when content is distinct from before or updated_at > before_from then true_from else before_from end,
        before,
        content is distinct from before or coalesce(updated_at > before_from, false)
    from (
        select
            links.line,
            links.updated_at,
            links.true_from,
            former.content as before,
            former.stands_from as before_from,
            completed(
                links.said,
                former.content,
                case
                    when links.deleted_at is not null then links.deleted_at
                    when $retract or links.deleted then coalesce(former.content.deleted_at, links.ingested_at)
                    when links.deleted = false or $has_deleted_at then null
                    else former.content.deleted_at
                end
            ) as content
        from links
        inner join versions as former on links.follows = former.line
    ) as completions
),

told as (
    select
        links.line,
        links.id,
        links.ingested_at,
        links.updated_at,
        versions.content,
        versions.is_stored,
        case
            when versions.content is not distinct from versions.before or links.is_older then 'known'
            when versions.content.deleted_at is not null
                and versions.before.deleted_at is null
                and (versions.before is not null or $retract) then 'retracted'
            when versions.before is not null then 'corrected'
            else 'new'
        end as outcome
    from links
    inner join versions on links.line = versions.line
),

former as (
    select distinct id, content
    from stored
)

select
    told.line,
    told.content,
    told.ingested_at,
    told.updated_at,
    told.outcome,
    told.is_stored,
    told.outcome = 'corrected' and told.updated_at is null and former.id is not null as is_back
from told
left join former on told.id = former.id and told.content = former.content
