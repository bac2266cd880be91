-- One row per face above the least confidence, of every photo whose bytes are in the store.
-- parameters: $parts, the Parquet files of the detector; $confidence, the least confidence of a face
with seen as (
    select distinct on (sha256) sha256, faces
    from read_parquet($parts)
    where status = 'ok'
),

held as (
    select photo_id, sha256
    from facts.photo_files
    qualify row_number() over (partition by photo_id order by ingested_at desc, status, sha256) = 1
),

numbered as (
    select held.photo_id, unnest(seen.faces) as face, generate_subscripts(seen.faces, 1) - 1 as face_no
    from held
    inner join seen on held.sha256 = seen.sha256
)

select photo_id, face_no, face.x0, face.y0, face.x1, face.y1, face.confidence, face.keypoints
from numbered
where face.confidence >= $confidence
order by photo_id, face_no
