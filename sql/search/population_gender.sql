-- Every label with the gender of the owner, as the label has it; NULL: unknown.
--
-- grain: photo_id, source
-- reads: photo_labels
select photo_id, source, value, gender as population
from photo_labels
