-- timeline_has_no_gap: from the first main photo on, every instant of a user lies in exactly one stretch
--
-- reads:  recipient_timeline
with ordered as (
    select
        user_id,
        stretch_no,
        valid_from,
        valid_to,
        coalesce(
            lead(valid_from) over (partition by user_id order by valid_from, stretch_no),
            timestamp '9999-12-31'
        ) as next_from
    from recipient_timeline
)

select user_id, stretch_no, valid_from, valid_to, next_from
from ordered
where valid_to <> next_from or valid_from >= valid_to
