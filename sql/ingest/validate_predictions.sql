-- validate_predictions: the readable rows of files of predictions, with the reason if a row is refused.
--
-- reads:      taken: row_no, file_no, line, photo_id, prediction, split
-- parameters: $low and $high, the range of the target; NULL: no bound
--
-- A row that repeats another one word for word is a `duplicate`, which is known and not refused.
with checked as (
    select
        taken.*,
        case
            when photos.photo_id is null then 'unknown_photo'
            when taken.prediction < $low or taken.prediction > $high then 'out_of_range'
            when taken.split not in ('train', 'dev', 'test') then 'bad_split'
        end as problem
    from taken
    left join photos on taken.photo_id = photos.photo_id
),

sound as (
    select
        row_no,
        count(distinct prediction) over of_photo > 1 or count(distinct coalesce(split, '')) over of_photo > 1 as differs,
        row_number() over (of_photo order by file_no, line, row_no) > 1 as is_repeated
    from checked
    where problem is null
    window of_photo as (partition by photo_id)
)

select
    checked.* exclude (problem),
    case
        when checked.problem is not null then checked.problem
        when sound.differs then 'repeated_photo'
        when sound.is_repeated then 'duplicate'
    end as verdict
from checked
left join sound on checked.row_no = sound.row_no
