-- Every label with a band of labels whose owners have similar numbers of followers; NULL: the number is unknown.
--
-- grain: photo_id, source
-- reads: photo_labels, users
-- source: Karpathy, selfies: halves within groups of 100 of similar audience
--
-- The labels of a source, in the order of followers, are cut into as many bands of equal size as there are hundreds: a
-- band has 100 to 199 labels, or all if they are fewer than 200.
with audiences as (
    select photo_labels.photo_id, photo_labels.source, photo_labels.user_id, photo_labels.value, users.followers
    from photo_labels
    left join users on photo_labels.user_id = users.user_id
),

placed as (
    select
        audiences.*,
        row_number() over (partition by source, followers is null order by followers, user_id, photo_id) - 1 as place,
        count(*) over (partition by source, followers is null) as n_labels
    from audiences
)

select
    photo_id,
    source,
    value,
    case when followers is not null then place * greatest(n_labels // 100, 1) // n_labels end as population
from placed
