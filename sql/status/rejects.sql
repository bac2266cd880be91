-- Number of refused rows by kind of file and reason.
select kind, reason, count(*) as n
from facts.rejects
group by kind, reason
order by kind, n desc, reason
