-- commands: each command that changed the store, and how long its stages took.
--
-- grain:  command_id
-- reads:  facts.commands
-- time:   all commands so far, independent of the clock
-- source: every command that writes
select
    cast(command_id as varchar) as command_id,      -- id of the call
    cast(command as varchar) as command,            -- name of the command, without arguments
    cast(program as varchar) as program,            -- version of the program
    cast(stages as varchar) as stages,              -- JSON: stage -> [units done, seconds], as of the last write
    cast(started_at as timestamp) as started_at,    -- when it began
    cast(written_at as timestamp) as written_at     -- when it last wrote
from facts.commands
