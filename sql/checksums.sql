-- checksums: the content of each computed relation in a few digits: equal checksums, equal rows.
--
-- grain:  relation
-- reads:  facts.relation_state
-- time:   the last build
-- source: `features build`
select
    cast(relation as varchar) as relation,       -- its name
    cast(n_rows as bigint) as n_rows,            -- rows in it
    cast(checksum as varchar) as checksum,       -- of all its rows, whatever their order
    cast(built_at as timestamp) as built_at      -- when these rows were last computed
from facts.relation_state
