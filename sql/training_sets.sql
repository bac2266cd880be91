-- training_sets: each version of a named training set.
--
-- grain:  name, version
-- reads:  facts.training_sets
-- time:   all sets so far, independent of the clock
-- source: `features training-set create`
select
    cast(name as varchar) as name,                  -- name of the set
    cast(version as integer) as version,            -- from 1
    cast(entity as varchar) as entity,              -- the relation whose rows it has
    cast(at_column as varchar) as at_column,        -- the column with each row's instant; NULL: the moment of the set
    cast(target as varchar) as target,              -- what is to be predicted
    cast(features as varchar[]) as features,        -- relation.column, or the name of an encoder
    cast(as_of as timestamp) as as_of,              -- facts that had happened before it count; NULL: no limit
    cast(known_at as timestamp) as known_at,        -- facts that had arrived before it count; NULL: no limit
    cast(n_rows as bigint) as n_rows,               -- rows
    cast(digests as varchar) as digests,            -- JSON: digest of labels, relations, encoders, code and files
    cast(created_at as timestamp) as created_at,    -- when it was created
    cast(status as varchar) as status               -- ok; remade: rows of erased people were removed; removed
from facts.training_sets
