-- From version 3: definitions of the user's own, named training sets, runs of the user's own.
alter table facts.runs add column name varchar;
alter table facts.runs add column origin varchar default 'trained';
alter table facts.runs alter column origin set not null;

create table facts.promoted_runs (
    target varchar not null,
    run_id varchar not null,
    promoted_at timestamp not null
);

create table facts.project (
    project_id varchar not null,
    name varchar not null,
    path varchar not null,
    linked_at timestamp not null
);

create table facts.own_relations (
    relation varchar not null,
    kind varchar not null,
    definition varchar not null,
    parameters varchar not null,
    status varchar not null,
    error varchar,
    tried_at timestamp,
    built_definition varchar,
    built_parameters varchar,
    failed_digest varchar
);

create table facts.own_audits (
    audit varchar not null,
    definition varchar not null,
    status varchar not null,
    error varchar,
    tried_at timestamp,
    digest varchar
);

create table facts.training_sets (
    name varchar not null,
    version integer not null,
    entity varchar not null,
    at_column varchar,
    target varchar not null,
    features varchar[] not null,
    as_of timestamp,
    known_at timestamp,
    n_rows bigint not null,
    digests varchar not null,
    created_at timestamp not null,
    status varchar not null
);

-- One row per photo bytes; loaded from the store's pictures/photo_quality/*.parquet. photo_quality.sql has the units.
create table facts.picture_photo_quality (
    sha256 varchar not null,
    width bigint,
    height bigint,
    aspect double,
    megapixels double,
    sharpness double,
    brightness double,
    contrast double,
    colourfulness double,
    entropy double,
    noise double,
    face_share double,
    face_offset double,
    tilt double,
    status varchar not null,
    detail varchar
);

-- One row per photo bytes; loaded from the store's pictures/photo_persons/*.parquet.
create table facts.picture_photo_persons (
    sha256 varchar not null,
    n_persons bigint,
    person_share double,
    confidence double,
    status varchar not null,
    detail varchar
);
