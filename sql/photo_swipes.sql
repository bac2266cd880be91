-- photo_swipes: each swipe with the photo that it is credited to, the reason, both genders and the photo's age.
--
-- grain:  one row per swipe
-- reads:  swipes, recipient_timeline, photo_owners, photo_periods, user_genders, gender_changes
-- time:   a swipe is credited to the photo that was main at its instant, if it is its recipient's own
-- source: Bogatyy & Tom, "Photo validity"
--
-- A view over the log, which the first label build creates; it stores no row. The swipes of each reason are those of
-- swipe_audit. `kept` are the swipes of the window `latest`, `kept` and `stale_photo` those of `every`.
-- Genders are those of today, or of the instant of the swipe if labels are built with `--gender then`.
with recipients as (
    select user_genders.user_id, user_genders.gender, min(recipient_timeline.valid_from) as first_from
    from user_genders
    left join recipient_timeline on user_genders.user_no = recipient_timeline.user_no
    group by user_genders.user_id, user_genders.gender
),

appearances as (
    select photo_id, min(valid_from) as first_main_at
    from photo_periods
    group by photo_id
),

stretches as (
    select
        recipient_timeline.*,
        case when photo_owners.posted_at < first_main_at then photo_owners.posted_at else first_main_at end as online_since
    from recipient_timeline
    left join appearances on recipient_timeline.photo_id = appearances.photo_id
    left join photo_owners on recipient_timeline.photo_id = photo_owners.photo_id
)

select
    cast(swipes.sender_id as varchar) as sender_id,            -- who swiped; need not be in users
    cast(swipes.recipient_id as varchar) as recipient_id,      -- whose photo was shown
    cast(swipes.liked as boolean) as liked,                    -- right
    cast(swipes.swiped_at as timestamp) as swiped_at,          -- when
    cast(swipes.event_id as varchar) as event_id,              -- as given; NULL: none was given
    cast(stretches.photo_id as varchar) as photo_id,  -- the photo that it is credited to; NULL: none
    cast(case
        when recipients.user_id is null then 'unknown_recipient'
        when recipients.first_from is null then 'no_photo'
        when swipes.swiped_at < recipients.first_from then 'before_first_photo'
        when swipes.sender_id = swipes.recipient_id then 'self_swipe'
        else stretches.reason
    end as varchar) as reason,                                 -- as in swipe_audit
    cast(case
        when sender_changes.user_no is null then senders.gender
        else sender_changes.gender
    end as varchar) as sender_gender,                          -- female, male, other; NULL: unknown, or not in users
    cast(case
        when recipient_changes.user_no is null then recipients.gender
        else recipient_changes.gender
    end as varchar) as recipient_gender,                       -- female, male, other; NULL: unknown, or not in users
    cast(floor(
        cast(date_diff('microsecond', stretches.online_since, swipes.swiped_at) as double) / 1e6
    ) as bigint) as photo_age_s,                               -- seconds since the photo went online: posted_at, or when it first became main if that was earlier or posted_at is unknown; NULL: no photo
    cast(floor(
        cast(date_diff('microsecond', stretches.main_since, swipes.swiped_at) as double) / 1e6
    ) as bigint) as main_for_s                                 -- seconds since the photo last became the main photo; NULL: no photo
from swipes
left join stretches
    on swipes.recipient_id = stretches.user_id
    and swipes.swiped_at >= stretches.valid_from
    and swipes.swiped_at < stretches.valid_to
    and swipes.sender_id <> swipes.recipient_id
left join recipients on swipes.recipient_id = recipients.user_id
left join user_genders as senders on swipes.sender_id = senders.user_id
left join gender_changes as sender_changes
    on swipes.sender_id = sender_changes.user_id
    and swipes.swiped_at >= sender_changes.valid_from
    and swipes.swiped_at < sender_changes.valid_to
left join gender_changes as recipient_changes
    on swipes.recipient_id = recipient_changes.user_id
    and swipes.swiped_at >= recipient_changes.valid_from
    and swipes.swiped_at < recipient_changes.valid_to
