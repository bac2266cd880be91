-- The given ids that occur in the warehouse: as users, as senders or recipients of swipes, or as crawled accounts.
--
-- parameters: $ids
with given as (select unnest($ids) as user_id),

named as (
    select user_id from facts.users
    union all
    select user_id from facts.photos
    union all
    select user_id from facts.main_photos
    union all
    select sender_id from facts.swipes
    union all
    select recipient_id from facts.swipes
    union all
    select user_id from facts.replaced_main_photos
    union all
    select user_id from facts.retracted_main_photos
    union all
    select unnest([sender_id, recipient_id]) from facts.replaced_swipes
    union all
    select unnest([sender_id, recipient_id]) from facts.retracted_swipes
    union all
    select user_id from facts.crawl_targets
    union all
    select object_id from facts.observations where kind = 'account'
)

select user_id
from given
where
    user_id in (select user_id from named)
    or exists (
        select 1
        from facts.rejects
        where contains(raw, user_id) and list_contains(regexp_extract_all(raw, '[^\s",;:{}\[\]|\\]+'), user_id)
    )
