-- said: what the rows of a file say about main photos: the photos of one user and instant, or that there was no change.
--
-- reads: odd, lines
select
    lines.no,
    any_value(odd.event_id) as event_id,
    any_value(
        case
            when odd.user_id is not null and odd.set_at is not null
                then struct_pack(user_id := odd.user_id, set_at := odd.set_at)
        end
    ) as key,
    if(bool_or(odd.retracted), null, list_sort(list(distinct odd.photo_id))) as value,
    bool_or(odd.retracted) as retracted,
    any_value(odd.arrival) as arrival
from odd
inner join lines on odd.line = lines.line
group by lines.no
