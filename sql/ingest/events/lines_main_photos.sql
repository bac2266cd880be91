-- lines: the number of the statement that each row makes, which is that of its first row.
--
-- reads: odd, the rows of a file whose event may have other statements, in the file or in the store
--
-- Rows without an event_id that have one user and one instant, and arrive together, state the photos of that instant
-- together. A row that takes back ends the statement before it. A row of a photo that its statement has already is a
-- repeat.
with parts as (
    select
        line,
        user_id,
        photo_id,
        set_at,
        arrival,
        event_id is null and not retracted as is_shared,
        count(*) filter (where retracted and event_id is null) over (
            partition by user_id, set_at, arrival order by line
        ) as part
    from odd
    where problem is null
)

select
    line,
    if(is_shared, min(line) over (partition by is_shared, user_id, set_at, arrival, part), line) as no,
    is_shared
    and row_number() over (partition by is_shared, user_id, set_at, arrival, part, photo_id order by line) > 1
        as is_repeat
from parts
