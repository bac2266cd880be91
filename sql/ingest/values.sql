-- How the values of incoming rows are read: macros, one per type of column, for trimmed text and for numbers.
-- Blank is NULL. What cannot be read becomes a value that no check lets through: 'bad' for a gender,
-- -1 for a count, the year 1 for a time. A flag has no such value: its blank is refused as well.
-- The engine does not share work between the arms of a CASE: so text is trimmed once, before all else, and
-- what is common comes first.

-- Blanks at both ends are no part of a value. Most have none, and the slow trim is for the others.
create or replace temp macro plain(t) as
    case
        when t >= '!' and t < chr(127) and t[-1] between '!' and '~' then t
        else nullif(trim(t, chr(32) || chr(9) || chr(10) || chr(13) || chr(160) || chr(65279)), '')
    end;

-- A whole number that became 17.0 because its column has gaps is still 17.
create or replace temp macro id_of_number(n) as
    case when abs(n) < 9e15 and n = floor(n) then cast(cast(n as bigint) as varchar) else cast(n as varchar) end;

create or replace temp macro gender_of(t) as
    case
        when t is null then null
        when lower(t) in ('female', 'f', 'w', 'woman') then 'female'
        when lower(t) in ('male', 'm', 'man') then 'male'
        when lower(t) in ('other', 'o', 'x', 'd', 'diverse', 'nonbinary', 'non-binary', 'nb') then 'other'
        when lower(t) in ('unknown', 'u', 'unspecified', 'n/a', 'na', 'none', 'null', 'nan', '?', '-') then null
        else 'bad'
    end;

create or replace temp macro flag_of(t) as
    case
        when t in ('true', 'True', '1') then true
        when t in ('false', 'False', '0') then false
        when lower(t) in ('true', 't', '1.0', 'yes', 'y', 'like', 'liked', 'right') then true
        when lower(t) in ('false', 'f', '0.0', 'no', 'n', 'ignore', 'ignored', 'pass', 'left') then false
    end;

-- A whole number from 0 to 2^53, also as `12.0` or `1e3`.
create or replace temp macro count_of_number(n) as
    case
        when n is null then null
        when n between 0 and 9007199254740992 and n = floor(n) then cast(n as bigint)
        else -1
    end;

create or replace temp macro count_of(t) as
    case when t is not null then coalesce(count_of_number(try_cast(t as double)), -1) end;

-- Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by size: from 1973 on the four
-- ranges do not meet. Smaller numbers (a year, 20240131, days of a spreadsheet, 0 for missing) are no time.
create or replace temp macro time_of_number(n) as
    case
        when n is null then null
        when n >= 1e8 and n < 1e11 then make_timestamp(cast(n * 1000000 as bigint))
        when n >= 1e11 and n < 1e14 then make_timestamp(cast(n * 1000 as bigint))
        when n >= 1e14 and n < 1e17 then make_timestamp(cast(n as bigint))
        when n >= 1e17 and n < 9e18 then make_timestamp(cast(n // 1000 as bigint))
        else timestamp '0001-01-01'
    end;

-- Cut off as in text; the cast would round.
create or replace temp macro time_of_nanos(t) as
    case when isfinite(t) then make_timestamp(epoch_ns(t) // 1000) else cast(t as timestamp) end;

-- The plain cast drops an offset without a word, the one with a zone is slow: so text that has an offset
-- or a zone's name goes the slow way, all other text is UTC as it stands.
create or replace temp macro time_of_iso(t) as
    case
        when t[-1] in ('0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'Z') and not contains(t, '+')
            and not contains(substr(t, 11), '-')
            then try_cast(t as timestamp)
        else try_cast(regexp_replace(t, '[ ]+([+-][0-9:]+)$', '\1') as timestamptz) at time zone 'UTC'
    end;

create or replace temp macro time_of(t) as
    case
        when t is null then null
        when substr(t, 5, 1) in ('-', '/') then coalesce(time_of_iso(t), timestamp '0001-01-01')
        when regexp_full_match(t, '[0-9]{9,19}') then time_of_number(try_cast(t as bigint))
        when regexp_full_match(t, '[0-9]{9,16}[.][0-9]*') then time_of_number(try_cast(t as double))
        else timestamp '0001-01-01'
    end;

-- '#me, #Love', 'me love', '["me"]' and lists: words, lower case, without the #, each once, sorted.
create or replace temp macro tags_of(t) as
    case
        when t is not null then list_sort(list_distinct(regexp_extract_all(lower(t), '[^\s,;|#"''\[\]]+')))
    end;
