-- From version 4: how far each source has been read.
create table facts.source_positions (
    source varchar not null,
    part varchar not null,
    position varchar not null,
    ingested_at timestamp not null
);
