-- Macros that read the values of incoming rows, one per type of column, for trimmed text and for numbers.
-- Blank is NULL. An unreadable value becomes a value that every check refuses: 'bad' for a gender,
-- -1 for a count, the year 1 for a time, `inexact()` for an id. A flag has no such value: its blank is refused too.
-- The engine does not share work between the arms of a CASE, so text is trimmed once, before all else, and
-- the most common case comes first.

-- The words that databases, pandas, R and spreadsheets write for a missing value, in these spellings only.
-- They are blank in every column, quoted or not. No word is longer, or begins with a digit.
create or replace temp macro unless_missing(t) as
    case
        when strlen(t) > 4 or t between '0' and ':' then t
        when t in ('NULL', 'null', '\N', 'nan', 'NaN', '-nan', '-NaN', 'None', 'NA', 'N/A', 'n/a', '<NA>', 'NaT', '#N/A')
            then null
        else t
    end;

-- Blanks at both ends are not part of a value. Most values have none; the slow trim is for the others.
create or replace temp macro is_trimmed(t) as
    t between '!' and chr(127)
    and contains(
        '!"#$%&''()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefghijklmnopqrstuvwxyz{|}~', t[-1]
    );

create or replace temp macro trimmed(t) as
    case
        when is_trimmed(t) then t
        else nullif(trim(t, chr(32) || chr(9) || chr(10) || chr(13) || chr(160) || chr(65279)), '')
    end;

create or replace temp macro plain(t) as
    case when is_trimmed(t) then unless_missing(t) else unless_missing(trimmed(t)) end;

-- An id that is a whole number with a fraction of zeros is that number: programs write a column of whole
-- numbers with gaps in this way (17.0). Other text is unchanged: 007, 1.10, v1.0.
-- A number written with an exponent, or one with a fraction from 2^53 on, went through floating point, which may have
-- changed its digits, so the id is unknown.
create or replace temp macro inexact() as rpad(chr(0), 1025, ' ');

create or replace temp macro id_of(t) as
    case
        when t > ':' or not contains(t, '.') and (strlen(t) > 7 or not contains(t, '+')) then t
        when regexp_full_match(t, '-?(0|[1-9][0-9]*)[.]0+') then
            case
                when t[1:3] = '-0.' then '0'
                when abs(try_cast(split_part(t, '.', 1) as bigint)) < 9007199254740992 then split_part(t, '.', 1)
                else inexact()
            end
        when regexp_full_match(t, '-?[0-9]+([.][0-9]*)?[eE][+][0-9]+|-?[0-9]+[.][0-9]*[eE][0-9]+') then inexact()
        else t
    end;

-- Floating point holds each whole number below `exact`: 2^53, in four bytes 2^24.
create or replace temp macro id_of_real(n, exact) as
    case
        when n is null then null
        when not abs(n) < exact then inexact()
        when n = floor(n) then cast(cast(n as bigint) as varchar)
        else cast(n as varchar)
    end;

-- 17.50 is 17.5, and 17.00 is 17, as with any other type of number.
create or replace temp macro text_of_decimal(n) as rtrim(rtrim(cast(n as varchar), '0'), '.');

create or replace temp macro gender_of(t) as
    case
        when t is null then null
        when lower(t) in ('female', 'f', 'w', 'woman') then 'female'
        when lower(t) in ('male', 'm', 'man') then 'male'
        when lower(t) in ('other', 'o', 'x', 'd', 'diverse', 'nonbinary', 'non-binary', 'nb') then 'other'
        when lower(t) in ('unknown', 'u', 'unspecified', 'n/a', 'na', 'none', 'null', 'nan', '?', '-') then null
        else 'bad'
    end;

-- The further words of dating apps and of data sets of swipes, in lower case, without blanks, hyphens and underscores.
-- What may mean either stays refused: x, up, match, block, unlike, undo, maybe, -1.
create or replace temp macro flag_of_word(t) as
    case
        when t in (
            'superlike', 'superliked', 'superlikes', 'likes', 'superswipe', 'superswiped', 'swiperight', 'swipedright',
            'rightswipe', 'love', 'loved', 'heart', 'hearted', 'rose', 'comment', 'smash', 'accept', 'accepted',
            'approve', 'approved', 'interested', 'thumbsup', 'upvote'
        )
            then true
        when t in (
            'dislike', 'disliked', 'dislikes', 'nope', 'noped', 'skip', 'skipped', 'passed', 'reject', 'rejected',
            'swipeleft', 'swipedleft', 'leftswipe', 'decline', 'declined', 'dismiss', 'dismissed', 'discard',
            'discarded', 'notinterested', 'thumbsdown', 'downvote', 'hate', 'hated', 'nah'
        )
            then false
    end;

create or replace temp macro flag_of(t) as
    case
        when t in ('true', 'True', '1') then true
        when t in ('false', 'False', '0') then false
        when lower(t) in ('true', 't', '1.0', 'yes', 'y', 'like', 'liked', 'right') then true
        when lower(t) in ('false', 'f', '0.0', 'no', 'n', 'ignore', 'ignored', 'pass', 'left') then false
        when t > ':' then flag_of_word(replace(replace(replace(lower(t), '_', ''), '-', ''), ' ', ''))
    end;

-- A whole number from 0 to 2^53, also as `12.0` or `1e3`. Digits alone are not read as floating point, which rounds.
create or replace temp macro count_of_number(n) as
    case
        when n is null then null
        when n between 0 and 9007199254740992 and n = floor(n) then cast(n as bigint)
        else -1
    end;

create or replace temp macro count_of(t) as
    case
        when t is null then null
        when regexp_full_match(t, '[0-9]+') then coalesce(count_of_number(try_cast(t as hugeint)), -1)
        else coalesce(count_of_number(try_cast(t as double)), -1)
    end;

-- A finite number; a flag is 1 or 0.
create or replace temp macro number_of_number(n) as
    case when isfinite(cast(n as double)) then cast(n as double) end;

create or replace temp macro number_of(t) as number_of_number(try_cast(t as double));

-- Seconds, milliseconds, microseconds or nanoseconds since 1970, distinguished by size: from 1973 on the four
-- ranges do not overlap. Smaller numbers (a year, 20240131, days of a spreadsheet, 0 for missing) are not a time.
create or replace temp macro time_of_number(n) as
    case
        when n is null then null
        when n >= 1e8 and n < 1e11 then make_timestamp(cast(n * 1000000 as bigint))
        when n >= 1e11 and n < 1e14 then make_timestamp(cast(n * 1000 as bigint))
        when n >= 1e14 and n < 1e17 then make_timestamp(cast(n as bigint))
        when n >= 1e17 and n < 9e18 then make_timestamp(cast(n // 1000 as bigint))
        else timestamp '0001-01-01'
    end;

-- Numbers of a unit that the user named: days, hours... since 1970, as microseconds each. Negative, infinite and far
-- numbers are refused.
create or replace temp macro time_of_n_units(n, micros) as
    case
        when n is null then null
        when n >= 0 and n < 250000000000000000 / micros then make_timestamp(cast(n * micros as bigint))
        else timestamp '0001-01-01'
    end;

create or replace temp macro time_of_n_ns(n) as
    case
        when n is null then null
        when n >= 0 and n < 9e18 then make_timestamp(cast(n // 1000 as bigint))
        else timestamp '0001-01-01'
    end;

-- Days since 1899-12-30, as spreadsheets count them, to the millisecond. Before day 61 they count a day that never was.
create or replace temp macro time_of_n_excel(n) as
    case
        when n is null then null
        when n >= 61 and n < 2958466
            then make_timestamp(cast(round((cast(n as double) - 25569) * 86400000) as bigint) * 1000)
        else timestamp '0001-01-01'
    end;

-- Instants far outside any calendar skip the conversions, which would fail and end the ingest of the file.
create or replace temp macro time_of_zoned(t) as
    case
        when t < timestamptz '1900-01-01 00:00:00+00' then timestamp '0001-01-01'
        when t > timestamptz '9999-12-31 00:00:00+00' then timestamp '9999-12-31'
        else make_timestamp(epoch_us(t))
    end;

create or replace temp macro time_of_day(t) as
    case
        when t < date '1900-01-01' then timestamp '0001-01-01'
        when t > date '9999-12-31' then timestamp '9999-12-31'
        else cast(t as timestamp)
    end;

-- Truncate as with text; the cast would round. Only infinity has no number of nanoseconds.
create or replace temp macro time_of_nanos(t) as
    case
        when t is null then null
        when epoch_ns(t) is not null then make_timestamp(epoch_ns(t) // 1000)
        when starts_with(cast(t as varchar), '-') then timestamp '0001-01-01'
        else timestamp '9999-12-31'
    end;

-- The name or abbreviation of a zone at the end of a time.
create or replace temp macro zone_of(t) as regexp_extract(t, ':[0-9.]+ *([A-Za-z][A-Za-z0-9_+/-]*)$', 1);

-- The local time in a zone.
create or replace temp macro clock_of(t) as try_cast(regexp_replace(t, ' +[A-Za-z].*$', '') as timestamp);

-- When clocks are set back, an hour occurs twice in a zone; when they are set forward, one is missing.
-- Such times are refused.
create or replace temp macro time_of_clock(instant, zone, clock) as
    case
        when try(timezone(zone, instant)) = clock
            and try(timezone(zone, instant + interval 1 hour)) <> clock
            and try(timezone(zone, instant - interval 1 hour)) <> clock
            and try(timezone(zone, instant + interval 30 minute)) <> clock
            and try(timezone(zone, instant - interval 30 minute)) <> clock
            then instant at time zone 'UTC'
    end;

-- With an offset (`+02`, `+0200`, `+02:00`, also behind UTC or GMT), a name of UTC, or a zone's name. Three letters are
-- an abbreviation, which several zones share or which is used in summer and winter (BST, CST, IST, EST, CET).
create or replace temp macro time_with_zone(t) as
    case
        when regexp_full_match(zone_of(t), '(?i)z|utc?|gmt|uct|zulu|universal|greenwich')
            then try_cast(regexp_replace(t, ' *[A-Za-z]+$', '') as timestamp)
        when regexp_full_match(zone_of(t), '(?i)[a-z]{3}|factory|etc/unknown') then null
        when regexp_full_match(
            t,
            '(?i)[0-9/-]+[t ]+[0-9:.]+'
            || '( *(utc?|gmt)?[+-]([0-9]|0[0-9]|1[0-5])(:?[0-5][0-9]){0,2}| +[a-z][a-z0-9_]*(-[a-z]+)?(/[a-z0-9_+/-]+)?)?'
        ) then
            case
                when zone_of(t) = '' or regexp_full_match(zone_of(t), '(?i)(utc?|gmt)[+-].*') then
                    try_cast(
                        regexp_replace(
                            regexp_replace(t, '(?i)(:[0-9.]+) *(?:utc?|gmt)([+-])([0-9])$', '\1\20\3'),
                            '(?i)(:[0-9.]+) *(?:utc?|gmt)?([+-][0-9:]+)$', '\1\2'
                        ) as timestamptz
                    ) at time zone 'UTC'
                else time_of_clock(try_cast(t as timestamptz), zone_of(t), clock_of(t))
            end
    end;

-- Whether a time ends in an offset that the cast reads, right after its digits: `+02:00`, or `+00` as in PostgreSQL.
create or replace temp macro is_offset(t) as
    case
        when t[-3] = ':' then
            t[-6] in ('+', '-') and t[-7] between '0' and '9' and t[-2] between '0' and '5'
            and (t[-5] = '0' or t[-5] = '1' and t[-4] between '0' and '5')
        else
            t[-3] in ('+', '-') and t[-4] between '0' and '9' and strlen(t) > 18
            and (t[-2] = '0' or t[-2] = '1' and t[-1] between '0' and '5')
    end;

-- The plain cast ignores an offset or a zone without an error, and the cast with a zone is slow. So only text that ends
-- in digits (or Z), with no sign or blank after its first eleven characters, takes the fast cast, as UTC.
create or replace temp macro time_of_iso(t) as
    case
        when contains(substr(t, 12), ' ') or not (t[-1] between '0' and '9' or t[-1] = 'Z') then time_with_zone(t)
        when contains(t, '+') or contains(substr(t, 11), '-') then
            case when is_offset(t) then try_cast(t as timestamptz) at time zone 'UTC' else time_with_zone(t) end
        else try_cast(t as timestamp)
    end;

-- The usual form is tried first, for text of its length: for other text that function is slow.
create or replace temp macro time_of(t) as
    case
        when t is null then null
        when t[5] in ('-', '/') then
            coalesce(
                case when strlen(t) = 19 and t[11] = ' ' then try_strptime(t, '%Y-%m-%d %H:%M:%S') end,
                time_of_iso(t),
                timestamp '0001-01-01'
            )
        when regexp_full_match(t, '[0-9]{9,19}([.]0*)?') then time_of_number(try_cast(split_part(t, '.', 1) as bigint))
        when regexp_full_match(t, '[0-9]{9,16}[.][0-9]*|[0-9][.][0-9]{12,}[eE][+]?[0-9]{1,2}')
            then time_of_number(try_cast(t as double))
        else timestamp '0001-01-01'
    end;

-- Text in a column of numbers of a unit: a number, else a time as in any other column.
create or replace temp macro is_whole_text(t) as regexp_full_match(t, '[0-9]{1,19}([.]0*)?');

create or replace temp macro is_number_text(t) as regexp_full_match(t, '[0-9]{1,19}[.][0-9]*([eE][+-]?[0-9]{1,3})?');

create or replace temp macro whole_of_text(t) as try_cast(split_part(t, '.', 1) as hugeint);

create or replace temp macro time_of_t_units(t, micros) as
    case
        when is_whole_text(t) then time_of_n_units(whole_of_text(t), micros)
        when is_number_text(t) then time_of_n_units(try_cast(t as double), micros)
        else time_of(t)
    end;

create or replace temp macro time_of_t_ns(t) as
    case
        when is_whole_text(t) then time_of_n_ns(whole_of_text(t))
        when is_number_text(t) then time_of_n_ns(try_cast(t as double))
        else time_of(t)
    end;

create or replace temp macro time_of_t_excel(t) as
    case
        when is_whole_text(t) or is_number_text(t) then time_of_n_excel(try_cast(t as double))
        else time_of(t)
    end;

-- A UUID of 16 bytes as text. In a column that holds other values too, 16 bytes that may be text are text.
create or replace temp macro uuid_of_hex(h) as
    h[1:8] || '-' || h[9:12] || '-' || h[13:16] || '-' || h[17:20] || '-' || h[21:32];

create or replace temp macro text_of_uuids(b, only_uuids) as
    case
        when b is null then null
        when octet_length(b) = 16
            and (only_uuids or coalesce(regexp_matches(try(decode(b)), '[\x00-\x1f\x7f]'), true))
            then uuid_of_hex(lower(hex(b)))
        else coalesce(try(decode(b)), cast(b as varchar))
    end;

-- The addition to the detail of an unreadable time that names a zone.
create or replace temp macro zone_remedy(t) as
    case
        when regexp_full_match(zone_of(t), '(?i)|[ap]m|z|utc?|gmt|uct|zulu|universal|greenwich') then ''
        when contains(zone_of(t), '/')
            then ': no such time, or clocks there show it twice or never; write an offset (+01:00)'
        else ': zone ' || zone_of(t) || ' is ambiguous or unknown; write an offset (+01:00) or a name (Europe/London)'
    end;

-- '#me, #Love', 'me love', '["me"]' and lists: words, lower case, without the #, each once, sorted.
create or replace temp macro tags_of(t) as
    case
        when t is not null then list_sort(list_distinct(regexp_extract_all(lower(t), '[^\s,;|#"''\[\]]+')))
    end;
