-- parts: the keys and the ids, by hash, whose statements must be compared in one part of a large file.
--
-- reads: edges: the pairs of hashes of a key (k) and an id (e) that one row has, of the file and of the store
--
-- Most events have one key and at most one id: the hash of their key separates them, and is `place`.
-- Where a key has several ids or an id several keys, all such rows are compared together: `place` is NULL.
with ids as (
    select e, count(distinct k) > 1 as has_several, min(k) as k
    from edges
    where e is not null
    group by e
),

keys as (
    select edges.k, count(distinct edges.e) > 1 or coalesce(bool_or(ids.has_several), false) as is_shared
    from edges
    left join ids on edges.e = ids.e
    where edges.k is not null
    group by edges.k
)

select true as is_key, k as h, case when not is_shared then k end as place
from keys
union all
select false, ids.e, case when not ids.has_several and not coalesce(keys.is_shared, false) then coalesce(ids.k, ids.e) end
from ids
left join keys on ids.k = keys.k
