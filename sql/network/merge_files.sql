-- merge_files: the findings on photos in one journal segment, as rows of facts.photo_files.
--
-- grain:      photo_id
-- reads:      a segment, facts.photos
-- time:       the last finding of each photo in the segment; ingested_at is the time of the merge
-- source:     `features fetch`
-- parameters: path, now
select
    found.photo_id,
    found.sha256,
    found.width,
    found.height,
    case when found.sha256 is not null then found.bytes end as bytes,
    found.file_status,
    case when found.file_status <> 'ok' then found.status end as detail,
    $now
from read_json(
    $path,
    format = 'newline_delimited',
    columns = {
        photo_id: 'varchar', status: 'varchar', file_status: 'varchar', attempt: 'integer', bytes: 'bigint',
        sha256: 'varchar', width: 'integer', height: 'integer', settled: 'boolean'
    }
) as found
semi join facts.photos as known on found.photo_id = known.photo_id
where found.settled
qualify row_number() over (partition by found.photo_id order by found.attempt desc) = 1
