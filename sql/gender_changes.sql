-- gender_changes: the genders of users whose gender changed, each with the time in which it held; empty if $gender is now.
--
-- grain:  user_no, valid_from
-- reads:  user_versions, user_genders, clock
-- time:   [valid_from, valid_to), one row of a user beginning where the former ends; the first has no beginning
-- source: files of `features ingest users`, in every version that arrived
-- parameters: gender
--
-- Before a user's first version the gender of that version holds. A version without a gender begins a time in which
-- the gender is unknown. Versions from as_of on change nothing that had happened before.
with versions as (
    select
        user_id,
        gender,
        valid_from,
        row_number() over (partition by user_id order by valid_from) as version_no,
        lag(gender) over (partition by user_id order by valid_from) as former_gender
    from user_versions
    where $gender = 'then'
),

changes as (
    select user_id, gender, case when version_no > 1 then valid_from else timestamp '0001-01-01' end as valid_from
    from versions
    cross join clock
    where version_no = 1 or (gender is distinct from former_gender and valid_from < as_of)
),

spans as (
    select
        changes.*,
        lead(valid_from) over (partition by user_id order by valid_from) as valid_to,
        count(*) over (partition by user_id) as n_genders
    from changes
)

select
    cast(user_genders.user_no as integer) as user_no,      -- of user_genders
    cast(spans.user_id as varchar) as user_id,             -- the user
    cast(spans.valid_from as timestamp) as valid_from,     -- inclusive; 0001-01-01: from the first instant on
    cast(coalesce(spans.valid_to, timestamp '9999-12-31') as timestamp) as valid_to, -- exclusive; 9999-12-31: still holds
    cast(spans.gender as varchar) as gender,               -- female, male, other; NULL: unknown
    cast(case spans.gender when 'female' then 1 when 'male' then 2 when 'other' then 3 end as integer) as gender_no -- as in user_genders
from spans
inner join user_genders on spans.user_id = user_genders.user_id
where spans.n_genders > 1 or spans.gender is distinct from user_genders.gender
