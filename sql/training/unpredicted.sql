-- Photos without a prediction of a run, with the possible reason.
--
-- grain: photo_id
-- reads: photos, faces, predictions
-- parameters: $run, a run_id
with seen as (
    select photo_id, count(*) as n_faces
    from faces
    group by photo_id
)

select
    photos.photo_id,
    photos.sha256,
    photos.path,
    coalesce(photos.status, 'missing') as status,
    coalesce(seen.n_faces, 0) as n_faces
from photos
left join seen on photos.photo_id = seen.photo_id
left join predictions on photos.photo_id = predictions.photo_id and predictions.run_id = $run
where predictions.photo_id is null
order by photos.photo_id
