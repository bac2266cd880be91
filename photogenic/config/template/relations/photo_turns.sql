-- photo_turns: how many main photos its owner had shown before, for each period of a photo.
--
-- grain:  photo_id, valid_from
-- reads:  photo_periods
-- time:   [valid_from, valid_to)
-- source: an example of `features init`; change it, or remove it
select
    cast(photo_id as varchar) as photo_id,       -- the photo
    cast(user_id as varchar) as user_id,         -- its owner
    cast(valid_from as timestamp) as valid_from, -- when the period began
    cast(valid_to as timestamp) as valid_to,     -- exclusive; NULL: still the main photo
    cast(row_number() over (partition by user_id order by valid_from) - 1 as bigint) as n_before -- periods before this one
from photo_periods
