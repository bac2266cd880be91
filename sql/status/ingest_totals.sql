-- Number of rows of all files so far, by kind and outcome.
select
    kind,
    cast(sum(n_new) as bigint) as n_new,
    cast(sum(n_corrected) as bigint) as n_corrected,
    cast(sum(n_retracted) as bigint) as n_retracted,
    cast(sum(n_known) as bigint) as n_known,
    cast(sum(n_refused) as bigint) as n_refused
from facts.ingests
group by kind
order by kind
