-- verdicts: all statements about the events of a file, and what each new one does.
--
-- reads:  held_named and told_named: what was said before and what the file says, with the event of each statement
-- parameters: $batch
--
-- An event is its id, `name`, or without one its key. A new statement is compared with the state at its arrival, which
-- is what the statement before it said. One that changes nothing is known.
with statements as (
    select
        false as is_new, cast(null as bigint) as no, if(retracted, 0, 1) as rank, origin, places, event_id, name, key,
        value, retracted, arrival, batch, replaced_at, replaced_batch
    from held_named
    union all
    select
        true, no, no, null, null, null, name, key,
        value, retracted, arrival, $batch, null, null
    from told_named
),

compared as (
    select
        *,
        lag(row(retracted, key, value, replaced_at, is_new)) over (
            partition by name, if(name is null, key, null) order by arrival, is_new, rank
        ) as former,
        count(*) filter (not is_new) over (
            partition by name, if(name is null, key, null), retracted, key, value
            order by arrival, is_new, rank
            rows between unbounded preceding and 1 preceding
        ) as n_same
    from statements
)

select
    * exclude (former, n_same),
    case
        when not is_new then null
        when retracted then if(former is not null and former[1], 'known', 'retracted')
        -- The last version had ended, and what ended it is not there any more: it was about somebody who was erased.
        when former is null or former[1] or coalesce(former[4] <= arrival, false) then 'new'
        when former[2] is not distinct from key and former[3] is not distinct from value then 'known'
        else 'corrected'
    end as verdict,
    is_new and retracted and former is null as is_unmatched,
    -- It says again what an earlier file took back.
    is_new and not retracted and coalesce(former[1] and not former[5], false) as is_revived,
    -- If it corrects, then back to what the event was once.
    is_new and not retracted and n_same > 0 as is_back
from compared
