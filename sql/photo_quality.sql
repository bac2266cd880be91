-- photo_quality: how each photo looks, measured on its pixels and its largest face.
--
-- grain:  photo_id
-- reads:  facts.picture_photo_quality, photos
-- time:   constant
-- source: features/pictures/photo_quality.py; the papers named below
--
-- All measures but noise are of the photo reduced to 256 to 511 pixels on its long side (smaller photos as they are) by
-- the mean of square blocks of pixels. Luma is 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601). The largest face is the one
-- whose box covers most of the frame. A photo has no row until its pixels were decoded.
--
-- Sharpness: Pech-Pacheco et al. 2000. `colourfulness`: Hasler and Suesstrunk 2003, "Measuring colorfulness in natural
-- images": the norm of the standard deviations of R - G and (R + G) / 2 - B, plus 0.3 of the norm of their means.
-- Noise: Immerkaer 1996, "Fast noise variance estimation", of green in rows of the decoded photo.
select
    cast(photos.photo_id as varchar) as photo_id,         -- the photo
    cast(found.width as bigint) as width,                 -- width of the upright original in pixels
    cast(found.height as bigint) as height,               -- height of the upright original in pixels
    cast(found.aspect as double) as aspect,               -- width / height: above 1 is wide, below 1 is tall
    cast(found.megapixels as double) as megapixels,       -- width * height in millions of pixels
    cast(found.sharpness as double) as sharpness,         -- variance of the Laplacian of luma, from 0 (blurred); noise raises it too
    cast(found.brightness as double) as brightness,       -- mean luma, 0 (black) to 1 (white)
    cast(found.contrast as double) as contrast,           -- standard deviation of luma, 0 (even) to 0.5
    cast(found.colourfulness as double) as colourfulness, -- 0 (gray); about 15 slight, 45 average, 80 high, 110 extreme
    cast(found.entropy as double) as entropy,             -- entropy of the 256 levels of luma in bits, 0 (even) to 8
    cast(found.noise as double) as noise,                 -- standard deviation of the noise, in levels of 255, from 0
    cast(found.face_share as double) as face_share,       -- share of the frame inside the box of the largest face, 0 to 1; NULL: no face
    cast(found.face_offset as double) as face_offset,     -- distance of that box's middle from the middle of the frame over half the diagonal, 0 to about 1
    cast(found.tilt as double) as tilt,                   -- degrees by which the line between its eyes falls to the right, -180 to 180; 0 is upright
    cast(found.status as varchar) as status,              -- ok; error: it failed, and the values are NULL
    cast(found.detail as varchar) as detail               -- why it failed
from facts.picture_photo_quality as found
inner join photos on found.sha256 = photos.sha256
