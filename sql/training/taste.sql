-- The swipes of each sender on each photo that was the main photo at that time.
--
-- grain: sender_id, photo_id
-- reads: swipes, recipient_timeline, users, deleted_photos
-- parameters: $sender, the only sender to read; NULL: all senders
-- source: Bogatyy & Tom, "Photo validity"
select
    swipes.sender_id,
    recipient_timeline.photo_id,
    recipient_timeline.user_id as owner_id,
    coalesce(users.gender, '') as gender,
    count(*) as n_swipes,
    count(*) filter (where swipes.liked) as n_likes,
    substr(md5('taste:' || swipes.sender_id || ':' || recipient_timeline.photo_id), 1, 8) < '1999999a' as held_out,
    substr(md5('taste:' || recipient_timeline.user_id), 1, 8) < '33333333' as unseen
from swipes
inner join recipient_timeline
    on swipes.recipient_id = recipient_timeline.user_id
    and swipes.swiped_at >= recipient_timeline.valid_from
    and swipes.swiped_at < recipient_timeline.valid_to
anti join deleted_photos on recipient_timeline.photo_id = deleted_photos.photo_id
left join users on swipes.sender_id = users.user_id
where
    recipient_timeline.photo_id is not null
    and swipes.sender_id <> recipient_timeline.user_id
    and ($sender is null or swipes.sender_id = $sender)
group by swipes.sender_id, recipient_timeline.photo_id, recipient_timeline.user_id, users.gender
order by swipes.sender_id, recipient_timeline.photo_id
