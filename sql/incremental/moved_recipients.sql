-- Recipients whose former swipes must be counted again: their timeline has other stretches than before, or
-- the gender of one of their senders has changed.
with changed_stretches as (
    (
        select user_id, valid_from, valid_to from recipient_timeline
        except
        select user_id, valid_from, valid_to from former_recipient_timeline
    )
    union all
    (
        select user_id, valid_from, valid_to from former_recipient_timeline
        except
        select user_id, valid_from, valid_to from recipient_timeline
    )
),

changed_genders as (
    (
        select user_id, gender from user_genders where gender is not null
        except
        select user_id, gender from former_user_genders
    )
    union all
    (
        select user_id, gender from former_user_genders where gender is not null
        except
        select user_id, gender from user_genders
    )
),

senders as (
    select distinct changed_genders.user_id
    from changed_genders
    semi join sender_counts on changed_genders.user_id = sender_counts.sender_id
),

moved as (
    select user_id as recipient_id
    from changed_stretches
    union
    select recipient_id
    from swipes
    semi join senders on swipes.sender_id = senders.user_id
)

select recipient_id
from moved
semi join recipient_counts using (recipient_id)
