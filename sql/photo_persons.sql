-- photo_persons: the persons that a detector of objects finds in each photo.
--
-- grain:  photo_id
-- reads:  facts.picture_photo_persons, photos
-- time:   constant
-- source: SSDlite on MobileNet v3, trained on COCO (Howard et al. 2019; torchvision)
--
-- It sees persons whose face is turned away or hidden, whom faces leaves out. It is computed when asked for: features
-- build --feature photo_persons. The photo is shown to the network as a square of 320 pixels.
select
    cast(photos.photo_id as varchar) as photo_id,       -- the photo
    cast(found.n_persons as bigint) as n_persons,       -- persons with a confidence of 0.5 or more
    cast(found.person_share as double) as person_share, -- share of the frame that their boxes cover together, 0 to 1
    cast(found.confidence as double) as confidence,     -- highest confidence of a person, 0 to 1, also below 0.5
    cast(found.status as varchar) as status,            -- ok; error: it failed, and the values are NULL
    cast(found.detail as varchar) as detail             -- why it failed
from facts.picture_photo_persons as found
inner join photos on found.sha256 = photos.sha256
