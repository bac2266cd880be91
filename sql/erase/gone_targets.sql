-- gone_targets: the accounts that were walked and turned out to be theirs, as a crawl names them.
select distinct target
from facts.crawl_targets
semi join gone_users using (user_id)
where starts_with(target, 'user:')
