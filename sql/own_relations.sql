-- own_relations: each relation of the project, and what became of it in the last build.
--
-- grain:  relation
-- reads:  facts.own_relations
-- time:   the last build, independent of the clock
-- source: `features build` in a project folder
--
-- A relation that failed keeps the rows of the last build that computed it.
select
    cast(relation as varchar) as relation,         -- its name in SQL
    cast(kind as varchar) as kind,                 -- sql: a SELECT; picture: a Python function of pictures
    cast(status as varchar) as status,             -- ok, failed, pending
    cast(error as varchar) as error,               -- why it failed; NULL: it did not
    cast(coalesce(built_parameters, parameters) as varchar) as parameters, -- JSON: name -> value
    cast(tried_at as timestamp) as tried_at        -- when a build computed it last, or failed to; NULL: none did yet
from facts.own_relations
