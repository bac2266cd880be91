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

changed_times as (
    (
        select user_id, valid_from, valid_to, gender from gender_changes
        except
        select user_id, valid_from, valid_to, gender from former_gender_changes
    )
    union all
    (
        select user_id, valid_from, valid_to, gender from former_gender_changes
        except
        select user_id, valid_from, valid_to, gender from gender_changes
    )
),

changed as (
    select user_id from changed_genders
    union
    select user_id from changed_times
),

-- sender_counts and recipient_counts may be those of the former build or of this one, without what was removed.
known_senders as (
    select sender_id from sender_counts
    union
    select sender_id from removed_swipes
),

known_recipients as (
    select recipient_id from recipient_counts
    union
    select recipient_id from removed_swipes
),

senders as (
    select changed.user_id
    from changed
    semi join known_senders on changed.user_id = known_senders.sender_id
),

moved as (
    select user_id as recipient_id
    from changed_stretches
    union
    select recipient_id
    from swipes
    semi join senders on swipes.sender_id = senders.user_id
    union
    select recipient_id
    from removed_swipes
    semi join senders on removed_swipes.sender_id = senders.user_id
)

select recipient_id
from moved
semi join known_recipients using (recipient_id)
