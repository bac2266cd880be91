-- validate_users: the readable rows of a users file, with the reason if a later row about the same version replaces one.
--
-- Rows of one user that are true from different instants (updated_at, else the arrival), or arrive at different ones, are
-- versions of their own.
with ranked as (
    select
        *,
        line = max(line) over of_version as is_last,
        row(gender, followers, created_at, deleted_at, deleted) is not distinct from last_value(
            row(gender, followers, created_at, deleted_at, deleted)
        ) over (
            of_version order by line rows between unbounded preceding and unbounded following
        ) as is_same
    from taken
    window of_version as (partition by user_id, coalesce(updated_at, arrival), arrival)
)

select
    * exclude (is_same),
    case when is_last then null when is_same then 'duplicate' else 'superseded' end as verdict
from ranked
