-- lines: the number of the statement that each row makes; each row of swipes is one.
--
-- reads: odd, the rows of a file whose event may have other statements, in the file or in the store
select line, line as no, false as is_repeat
from odd
where problem is null
