-- Photos that are deleted, by themselves or with the account of their owner, whatever the clock of the labels: nothing
-- of them is downloaded, copied, decoded or embedded any more.
with owners as (
    select user_id, deleted_at
    from facts.users
    semi join (select user_id from facts.users where deleted_at is not null) as ended using (user_id)
    qualify row_number() over (
        partition by user_id order by coalesce(updated_at, ingested_at) desc, ingested_at desc, batch desc
    ) = 1
),

newest as (
    select photo_id, user_id, deleted_at
    from facts.photos
    qualify row_number() over (
        partition by photo_id order by coalesce(updated_at, ingested_at) desc, ingested_at desc, batch desc
    ) = 1
)

select newest.photo_id
from newest
left join owners on newest.user_id = owners.user_id
where newest.deleted_at is not null or owners.deleted_at is not null
