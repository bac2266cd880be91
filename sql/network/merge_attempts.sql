-- merge_attempts: the attempts of one journal segment, as rows of facts.fetch_attempts.
--
-- grain:      photo_id, attempt
-- reads:      a segment, facts.photos
-- time:       in the order of the journal
-- source:     `features fetch`
-- parameters: path. A photo erased during its download leaves no attempt
select
    attempts.photo_id,
    attempts.url,
    attempts.status,
    attempts.detail,
    attempts.attempt,
    attempts.started_at,
    attempts.duration_s,
    attempts.bytes,
    attempts.settled
from read_json(
    $path,
    format = 'newline_delimited',
    columns = {
        photo_id: 'varchar', url: 'varchar', status: 'varchar', detail: 'varchar', attempt: 'integer',
        started_at: 'timestamp', duration_s: 'double', bytes: 'bigint', settled: 'boolean'
    }
) as attempts
semi join facts.photos as known on attempts.photo_id = known.photo_id
