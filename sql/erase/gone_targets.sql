-- gone_targets: the crawl targets that are accounts of erased users.
select distinct target
from facts.crawl_targets
semi join gone_users using (user_id)
where starts_with(target, 'user:')
