-- counts: the number of rows of the file by what they did, of retractions of what the store does not have, and of rows
-- that say again what was taken back or corrected.
--
-- reads: verdicts, lines
--
-- A row that takes back all events of a key did so if it took back one of them.
with done as (
    select
        no,
        case
            when bool_or(verdict = 'retracted') then 'retracted'
            else min(verdict)
        end as verdict,
        bool_and(is_unmatched) as is_unmatched,
        bool_or(is_revived) as is_revived,
        bool_or(is_back) as is_back
    from verdicts
    where is_new
    group by no
),

counted as (
    select if(lines.is_repeat, 'known', done.verdict) as verdict, done.is_unmatched, done.is_revived, done.is_back
    from lines
    inner join done on lines.no = done.no
)

select verdict, count(*) as n_rows
from counted
group by verdict
union all
select 'unmatched', count(*)
from counted
where is_unmatched
union all
select 'revived', count(*)
from counted
where is_revived and verdict = 'new'
union all
select 'back', count(*)
from counted
where is_back and verdict = 'corrected'
