-- new_main_photos: the events in the `set_at` of a photos file that are not in the store yet.
select given.line, given.user_id, given.photo_id, given.set_at
from judged as given
anti join facts.main_photos as held
    on given.user_id = held.user_id
    and given.photo_id = held.photo_id
    and given.set_at = held.set_at
where given.verdict is null and given.is_event
