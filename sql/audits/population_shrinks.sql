-- population_shrinks: no stage has more users than the one before, and every swipe has a sender
--
-- reads:  population, sender_counts
with stages as (
    select
        gender,
        sum(n_users) filter (where stage = 'ingested') as n_ingested,
        coalesce(sum(n_users) filter (where stage = 'with_photo'), 0) as n_with_photo,
        coalesce(sum(n_users) filter (where stage = 'labelled'), 0) as n_labelled
    from population
    group by gender
),

sent as (
    select
        (
            select coalesce(sum(n_swipes_sent), 0)
            from population
            where stage in ('ingested', 'unknown_sender')
        ) as n_of_stages,
        (select coalesce(sum(n_swipes), 0) from sender_counts) as n_sent
)

select 'stages' as what, coalesce(n_ingested, 0) as n_first, n_with_photo as n_second, n_labelled as n_third
from stages
where n_with_photo > coalesce(n_ingested, 0) or n_labelled > n_with_photo
union all
select 'swipes' as what, n_of_stages, n_sent, null
from sent
where n_of_stages <> n_sent
