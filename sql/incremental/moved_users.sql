-- Users whose swipes have another photo, reason or gender in photo_swipes than before: those that they received, and if
-- `as_sender`, also those that they sent.
with changed as (
    (
        select * from present_users
        except
        select * from former_users
    )
    union all
    (
        select * from former_users
        except
        select * from present_users
    )
)

select user_id, bool_or(part <> 'stretch') as as_sender
from changed
group by user_id
