-- runs: every head that was trained, and how well it does.
--
-- grain:  run_id
-- reads:  facts.runs
-- time:   all runs so far, whatever the clock
-- source: `features train`, `features finetune`
select
    cast(run_id as varchar) as run_id,                   -- names the folder in models/
    cast(target as varchar) as target,                   -- like_ratio, popular, gender
    cast(setup as varchar) as setup,                     -- all, one_face
    cast(encoder as varchar) as encoder,                 -- whose vectors went in
    cast(head as varchar) as head,                       -- the small model on top
    cast(metric as varchar) as metric,                   -- what dev, test and baseline are measured in
    cast(dev as double) as dev,                          -- on the split that chose the settings
    cast(test as double) as test,                        -- on the split that was judged once
    cast(baseline as double) as baseline,                -- of the best constant, on test
    cast(n_train as bigint) as n_train,                  -- photos trained on
    cast(n_test as bigint) as n_test,                    -- photos judged on
    cast(hyperparameters as varchar) as hyperparameters, -- JSON
    cast(results as varchar) as results,                 -- JSON: intervals, further metrics, curves
    cast(created_at as timestamp) as created_at          -- when training ended
from facts.runs
