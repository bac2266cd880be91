-- Every label, in one population.
--
-- grain: photo_id, source
-- reads: photo_labels
select photo_id, source, value, cast(null as varchar) as population
from photo_labels
