-- setups_are_labelled: setups hold each labelled photo at most once, `all` all of them
--
-- reads:  photo_setups, photo_labels
with labelled as (
    select distinct photo_id
    from photo_labels
),

members as (
    select photo_id, setup, count(*) as n_rows
    from photo_setups
    group by photo_id, setup
),

compared as (
    select labelled.photo_id, members.setup, members.n_rows
    from labelled
    left join members on labelled.photo_id = members.photo_id and members.setup = 'all'
    union all
    select labelled.photo_id, members.setup, members.n_rows
    from members
    left join labelled on members.photo_id = labelled.photo_id
)

select photo_id, setup, n_rows
from compared
where photo_id is null or setup is null or n_rows > 1
