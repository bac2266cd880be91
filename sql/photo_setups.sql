-- photo_setups: which labelled photos each experiment uses, divided 8:1:1 by owner.
--
-- grain:  photo_id, setup
-- reads:  photo_labels, faces
-- time:   as photo_labels
-- source: Bogatyy & Tom: ALL and 1BBOX, each shuffled and divided independently
-- parameters: split_seed
--
-- All photos of one user fall in one split. The division follows from a digest of setup, seed and user
-- alone: it stays when photos come or go.
with members as (
    select distinct photo_id, user_id, 'all' as setup
    from photo_labels
    union all
    select distinct photo_id, user_id, 'one_face' as setup
    from photo_labels
    semi join (select photo_id from faces group by photo_id having count(*) = 1) as single using (photo_id)
),

draws as (
    select
        photo_id,
        setup,
        substr(md5(setup || ':' || cast($split_seed as varchar) || ':' || user_id), 1, 8) as draw
    from members
)

select
    cast(photo_id as varchar) as photo_id,  -- the photo
    cast(setup as varchar) as setup,        -- all; one_face: exactly one face found
    cast(case
        when draw < 'cccccccc' then 'train'
        when draw < 'e6666666' then 'dev'
        else 'test'
    end as varchar) as split                -- train, dev, test
from draws
