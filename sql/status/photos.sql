-- Photos by what was found where their bytes should be.
select coalesce(status, 'not looked at') as status, count(*) as n
from photos
group by status
order by n desc, status
