-- gender_breakdown: who likes whom: like ratio by the genders of sender and recipient.
--
-- grain:  time_window, sender_gender, recipient_gender
-- reads:  swipe_counts, recipient_timeline, user_genders, gender_changes
-- time:   as like_ratios
-- source: Bogatyy & Tom, Table 1
--
-- An unknown gender (NULL) is a group of its own. Genders are those of today; with `--gender then` those at the
-- swipe, so that a recipient whose gender changed may be in two groups. The mean is taken in whole trillionths,
-- so that it does not depend on the order of addition.
with credited as (
    select
        recipient_timeline.user_no,
        case when gender_changes.user_no is null then user_genders.gender_no else gender_changes.gender_no end as gender_no,
        reason,
        sender_group,
        n_swipes,
        n_likes
    from swipe_counts
    inner join recipient_timeline on swipe_counts.stretch_no = recipient_timeline.stretch_no
    inner join user_genders on recipient_timeline.user_no = user_genders.user_no
    left join gender_changes
        on recipient_timeline.user_no = gender_changes.user_no
        and recipient_timeline.valid_from >= gender_changes.valid_from
        and recipient_timeline.valid_from < gender_changes.valid_to
    where sender_group is distinct from 4 and photo_no is not null
),

recipients as (
    select 'latest' as time_window, user_no, gender_no, sender_group, sum(n_swipes) as n_swipes, sum(n_likes) as n_likes
    from credited
    where reason = 'kept'
    group by user_no, gender_no, sender_group
    union all
    select 'every' as time_window, user_no, gender_no, sender_group, sum(n_swipes) as n_swipes, sum(n_likes) as n_likes
    from credited
    group by user_no, gender_no, sender_group
),

ratios as (
    select
        time_window,
        n_swipes,
        n_likes,
        case gender_no when 1 then 'female' when 2 then 'male' when 3 then 'other' end as recipient_gender,
        case sender_group when 1 then 'female' when 2 then 'male' when 3 then 'other' end as sender_gender,
        cast(floor(cast(n_likes as double) / nullif(n_swipes, 0) * 1e12 + 0.5e0) as bigint) as trillionths
    from recipients
)

select
    cast(time_window as varchar) as time_window,                -- latest, every
    cast(sender_gender as varchar) as sender_gender,            -- NULL: unknown, or not in users
    cast(recipient_gender as varchar) as recipient_gender,      -- NULL: unknown
    cast(count(*) as bigint) as n_recipients,                   -- users swiped on
    cast(sum(n_swipes) as bigint) as n_swipes,                  -- swipes
    cast(sum(n_likes) as bigint) as n_likes,                    -- of these, to the right
    cast(cast(sum(n_likes) as double) / nullif(sum(n_swipes), 0) as double) as like_ratio, -- pooled: every swipe counts alike
    cast(cast(sum(trillionths) as double) / 1e12 / nullif(count(*), 0) as double) as mean_like_ratio -- every recipient counts alike
from ratios
group by time_window, sender_gender, recipient_gender
