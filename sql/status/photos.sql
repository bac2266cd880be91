-- Number of photos by the finding on their bytes.
select coalesce(status, 'not looked at') as status, count(*) as n
from photos
group by status
order by n desc, status
