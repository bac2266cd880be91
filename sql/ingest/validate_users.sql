-- validate_users: the readable rows of a users file, with the reason if a later row of the same user replaces one.
with ranked as (
    select
        *,
        line = max(line) over of_user as is_last,
        row(gender, followers, created_at) is not distinct from last_value(row(gender, followers, created_at)) over (
            of_user order by line rows between unbounded preceding and unbounded following
        ) as is_same
    from taken
    window of_user as (partition by user_id)
)

select
    * exclude (is_last, is_same),
    case when is_last then null when is_same then 'duplicate' else 'superseded' end as verdict
from ranked
