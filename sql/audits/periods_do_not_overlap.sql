-- periods_do_not_overlap: a user shows one main photo at a time
--
-- reads:  photo_periods
with ordered as (
    select
        user_id,
        photo_id,
        valid_from,
        valid_to,
        lead(valid_from) over (partition by user_id order by valid_from, photo_id) as next_from
    from photo_periods
)

select user_id, photo_id, valid_from, valid_to, next_from
from ordered
where valid_from >= valid_to
    or next_from <= valid_from
    or (next_from is not null and coalesce(valid_to, timestamp '9999-12-31') > next_from)
