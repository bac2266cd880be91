-- faces: the faces found in each photo whose bytes are in the store.
--
-- grain:  photo_id, face_no
-- reads:  facts.faces, photos
-- time:   photos whose bytes had arrived before known_at, even if their faces were computed later
-- source: a face detector run on the stored bytes
select
    cast(found.photo_id as varchar) as photo_id,      -- the photo
    cast(found.face_no as integer) as face_no,        -- from 0, by falling confidence
    cast(found.x0 as double) as x0,                   -- left edge of the box, pixels
    cast(found.y0 as double) as y0,                   -- upper edge, pixels
    cast(found.x1 as double) as x1,                   -- right edge, pixels
    cast(found.y1 as double) as y1,                   -- lower edge, pixels
    cast(found.confidence as double) as confidence,   -- confidence of the detector, 0 to 1
    cast(found.keypoints as double[]) as keypoints    -- x, y, x, y, ... in pixels
from facts.faces as found
semi join (select photo_id from photos where sha256 is not null) as held on found.photo_id = held.photo_id
