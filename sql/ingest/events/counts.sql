-- counts: the number of rows of the file by what they did, and of retractions of what the store does not have.
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
        bool_and(is_unmatched) as is_unmatched
    from verdicts
    where is_new
    group by no
),

counted as (
    select if(lines.is_repeat, 'known', done.verdict) as verdict, done.is_unmatched
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
