-- new_main_photos: the events in the `set_at` of a photos file that were never stated.
--
-- One that was replaced or taken back since stays so: an old list of photos does not bring it back.
with stated as (
    select user_id, photo_id, set_at from facts.main_photos
    union all
    select user_id, photo_id, set_at from facts.replaced_main_photos
)

select given.line, given.user_id, given.photo_id, given.set_at, given.arrival
from judged as given
anti join stated
    on given.user_id = stated.user_id
    and given.photo_id = stated.photo_id
    and given.set_at = stated.set_at
where given.verdict is null and given.is_event
