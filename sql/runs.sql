-- runs: every trained head, and every run of the user's own, with its metrics.
--
-- grain:  run_id
-- reads:  facts.runs, facts.promoted_runs
-- time:   all runs so far, independent of the clock
-- source: `features train`, `features finetune`, `features ingest predictions`, `features runs promote`
select
    cast(run_id as varchar) as run_id,                   -- id of the run; a trained one has a folder of that name in models/
    cast(target as varchar) as target,                   -- like_ratio, popular, gender, or relation.column
    cast(setup as varchar) as setup,                     -- all, one_face
    cast(encoder as varchar) as encoder,                 -- encoder of the embeddings; none: it reads columns alone; ingested: predictions from elsewhere
    cast(head as varchar) as head,                       -- kind of the head; of predictions from elsewhere, their name
    cast(metric as varchar) as metric,                   -- metric of dev, test and baseline
    cast(dev as double) as dev,                          -- metric on the split that chose the settings; NULL: none
    cast(test as double) as test,                        -- metric on the test split
    cast(baseline as double) as baseline,                -- metric of the best constant, on test
    cast(n_train as bigint) as n_train,                  -- photos trained on
    cast(n_test as bigint) as n_test,                    -- photos of the test split that count
    cast(hyperparameters as varchar) as hyperparameters, -- JSON
    cast(results as varchar) as results,                 -- JSON: intervals, further metrics, curves
    cast(created_at as timestamp) as created_at,         -- when training ended
    cast(name as varchar) as name,                       -- name of a run of your own; NULL: none
    cast(origin as varchar) as origin,                   -- trained, ingested
    cast(promoted_runs.run_id is not null as boolean) as promoted -- whether it predicts its target until another is promoted
from facts.runs
left join facts.promoted_runs using (target, run_id)
