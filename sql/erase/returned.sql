-- returned: erased users that are in the warehouse again, as after a restore from an older backup.
--
-- parameters: the macro was_erased
with named as (
    select user_id from facts.users
    union
    select user_id from facts.photos
    union
    select user_id from facts.main_photos
    union
    select sender_id from facts.swipes
    union
    select recipient_id from facts.swipes
    union
    select user_id from facts.replaced_main_photos
    union
    select user_id from facts.retracted_main_photos
    union
    select unnest([sender_id, recipient_id]) from facts.replaced_swipes
    union
    select unnest([sender_id, recipient_id]) from facts.retracted_swipes
    union
    select user_id from facts.crawl_targets
    union
    select object_id from facts.observations where kind = 'account'
    union
    select unnest(regexp_extract_all(raw, '[^\s",;:{}\[\]|\\]+')) from facts.rejects
)

select user_id
from named
where user_id is not null and was_erased('user', user_id)
order by user_id
