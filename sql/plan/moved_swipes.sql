-- Number of swipes in both builds that are now credited to another photo, or for another reason.
with changed as (
    select distinct user_id
    from (
        (
            select user_id, photo_id, valid_from, valid_to, reason from recipient_timeline
            except
            select user_id, photo_id, valid_from, valid_to, reason from past_recipient_timeline
        )
        union all
        (
            select user_id, photo_id, valid_from, valid_to, reason from past_recipient_timeline
            except
            select user_id, photo_id, valid_from, valid_to, reason from recipient_timeline
        )
    ) as differences
),

seen as (
    select sender_id, recipient_id, swiped_at
    from facts.swipes
    cross join clock
    semi join changed on facts.swipes.recipient_id = changed.user_id
    where batch <= $batch and ingested_at < $known_at and swiped_at < $as_of
        and ingested_at < clock.known_at and swiped_at < clock.as_of
),

credits as (
    select
        past_recipient_timeline.photo_id as past_photo_id,
        past_recipient_timeline.reason as past_reason,
        recipient_timeline.photo_id,
        recipient_timeline.reason
    from seen
    left join past_recipient_timeline
        on seen.recipient_id = past_recipient_timeline.user_id
        and seen.swiped_at >= past_recipient_timeline.valid_from
        and seen.swiped_at < past_recipient_timeline.valid_to
    left join recipient_timeline
        on seen.recipient_id = recipient_timeline.user_id
        and seen.swiped_at >= recipient_timeline.valid_from
        and seen.swiped_at < recipient_timeline.valid_to
    where seen.sender_id <> seen.recipient_id
)

select count(*) as n_swipes
from credits
where past_photo_id is distinct from photo_id or past_reason is distinct from reason
