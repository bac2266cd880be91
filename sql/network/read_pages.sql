-- read_pages: the pages of one journal segment, as the temporary table `pages`.
--
-- grain:      target, began_at, page
-- reads:      a segment
-- time:       in the order of the journal
-- source:     `features crawl`
-- parameters: path
select *
from read_json(
    $path,
    format = 'newline_delimited',
    columns = {
        target: 'varchar', status: 'varchar', detail: 'varchar', cursor: 'varchar', n_posts: 'bigint',
        began_at: 'timestamp', page: 'integer', observed_at: 'timestamp',
        account: 'struct(user_id varchar, followers bigint, posts bigint)',
        posts: 'struct(photo_id varchar, user_id varchar, url varchar, posted_at timestamp, likes bigint, '
            'comments bigint, hashtags varchar[])[]'
    }
)
where target is not null
