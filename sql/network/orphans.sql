-- orphans: images of one journal segment without a photo, which was erased in the meantime.
--
-- grain:      sha256
-- reads:      a segment, facts.photo_files
-- time:       after the segment was merged
-- source:     `features fetch`
-- parameters: path
select distinct found.sha256
from read_json($path, format = 'newline_delimited', columns = {sha256: 'varchar'}) as found
anti join facts.photo_files as held on found.sha256 = held.sha256
where found.sha256 is not null
