-- lines: the number of the statement that each row makes; each row of swipes is one.
--
-- reads: odd, the rows of a file that may be about events that are told elsewhere
select line, line as no, false as is_repeat
from odd
where problem is null
