-- The base tables: facts as they arrived. `ingested_at` is the instant of arrival, the clock of `--known-at`; other
-- times, such as `swiped_at`, are on the clock of `--as-of`. `batch` numbers the ingests in the order in which they
-- ran, which is not that of arrival if history is loaded later. The relations that users query (users, photos,
-- main_photos, swipes) are views of these tables; all other relations are computed from those views.

create schema facts;

create table facts.version (version integer not null);  -- one row per step that led here; the highest counts

-- One row: the id of the store, which its copies share.
create table facts.identity (store_id varchar not null);
insert into facts.identity values (cast(uuid() as varchar));

-- One row: the moment whose relations are published.
create table facts.clock (
    as_of timestamp not null,         -- facts that had happened before it count; 9999-12-31: no limit
    known_at timestamp not null,      -- facts that had arrived before it count; 9999-12-31: no limit
    observed_at timestamp not null    -- ages are counted up to here: as_of, or the newest arrival of photos
);
insert into facts.clock values (timestamp '9999-12-31', timestamp '9999-12-31', timestamp '1970-01-01');

-- One row per computed relation: its inputs and its content.
create table facts.relation_state (
    relation varchar not null,
    digest varchar not null,          -- digest of the SQL, its parameters and the digests of its inputs
    n_rows bigint not null,
    checksum varchar not null,        -- checksum of the rows, independent of their order
    inputs varchar not null,          -- JSON: digest of each relation read
    built_at timestamp not null
);

-- One row per ingested file; its digest makes a second ingest of the same file a no-op.
-- n_read = n_new + n_corrected + n_retracted + n_known + n_refused
create table facts.ingests (
    ingest_id varchar not null,       -- digest of kind, content and mapping
    kind varchar not null,            -- users, photos, main_photos, swipes
    source varchar not null,          -- path as given
    sha256 varchar not null,
    n_read bigint not null,
    n_new bigint not null,            -- rows about something that the store did not have
    n_corrected bigint not null,      -- rows that replaced values of the store
    n_retracted bigint not null,      -- rows that took something back
    n_known bigint not null,          -- rows that the store had already
    n_refused bigint not null,        -- rows in facts.rejects
    refused varchar not null,         -- JSON: reason -> number of rows
    duration_s double not null,
    ingested_at timestamp not null,   -- when it was loaded
    batch integer not null            -- from 1, in the order of loading
);

-- How far each source has been read: written in the transaction of the rows, so that each row counts once.
create table facts.source_positions (
    source varchar not null,          -- name in photogenic.toml, or address of a stream
    part varchar not null,            -- object of a listing, partition of a stream; empty: the source is one
    position varchar not null,        -- JSON: newest value of the watermark, state of an object, next offset
    ingested_at timestamp not null    -- arrival of the rows that it was written with
);

-- One row per version of a user; the newest one counts.
create table facts.users (
    user_id varchar not null,
    gender varchar,                   -- female, male, other; NULL: unknown
    followers bigint,
    created_at timestamp,
    ingested_at timestamp not null,
    updated_at timestamp,             -- when it became true; NULL: not given
    deleted_at timestamp,             -- when the account ended; NULL: it lasts
    batch integer not null default 0  -- of facts.ingests; 0: of a crawl
);

-- One row per version of a photo; the newest one counts.
create table facts.photos (
    photo_id varchar not null,
    user_id varchar not null,
    path varchar,                     -- as given, relative to --images
    url varchar,
    posted_at timestamp,
    likes bigint,
    hashtags varchar[],
    ingested_at timestamp not null,
    updated_at timestamp,             -- when it became true; NULL: not given
    deleted_at timestamp,             -- when the photo was deleted; NULL: it is there
    batch integer not null default 0  -- of facts.ingests; 0: of a crawl
);

-- The findings on the bytes of photos; the newest row of a photo counts.
create table facts.photo_files (
    photo_id varchar not null,
    sha256 varchar,                   -- SHA-256 of the bytes in photos/; NULL: none
    width integer,                    -- pixels, after EXIF orientation
    height integer,
    bytes bigint,
    status varchar not null,          -- ok, missing, empty, not_an_image, unsupported_format, truncated, unreadable, too_large, detector_failed, erased
    detail varchar,
    ingested_at timestamp not null
);

-- One row per main-photo event, in the version that arrived last.
create table facts.main_photos (
    user_id varchar not null,
    photo_id varchar,                 -- NULL: the user removed the main photo
    set_at timestamp not null,
    ingested_at timestamp not null,
    batch integer not null default 0, -- of facts.ingests
    event_id varchar                  -- NULL: the event is known by user_id and set_at
);

-- Versions of main-photo events that were replaced or retracted.
create table facts.replaced_main_photos (
    user_id varchar not null,
    photo_id varchar,
    set_at timestamp not null,
    ingested_at timestamp not null,
    batch integer not null,
    event_id varchar,
    replaced_at timestamp not null,   -- arrival of what replaced or retracted it
    replaced_batch integer not null   -- of facts.ingests
);

-- Retractions of main-photo events, also of those that have not arrived yet.
create table facts.retracted_main_photos (
    user_id varchar,
    set_at timestamp,
    ingested_at timestamp not null,
    batch integer not null,
    event_id varchar
);

-- One row per swipe, in the version that arrived last.
create table facts.swipes (
    sender_id varchar not null,
    recipient_id varchar not null,
    liked boolean not null,
    swiped_at timestamp not null,
    ingested_at timestamp not null,
    batch integer not null default 0, -- of facts.ingests
    event_id varchar                  -- NULL: the swipe is known by sender_id, recipient_id and swiped_at
);

-- Versions of swipes that were replaced or retracted.
create table facts.replaced_swipes (
    sender_id varchar not null,
    recipient_id varchar not null,
    liked boolean not null,
    swiped_at timestamp not null,
    ingested_at timestamp not null,
    batch integer not null,
    event_id varchar,
    replaced_at timestamp not null,   -- arrival of what replaced or retracted it
    replaced_batch integer not null   -- of facts.ingests
);

-- Retractions of swipes, also of those that have not arrived yet.
create table facts.retracted_swipes (
    sender_id varchar,
    recipient_id varchar,
    swiped_at timestamp,
    ingested_at timestamp not null,
    batch integer not null,
    event_id varchar
);

create table facts.rejects (
    kind varchar not null,            -- users, photos, main_photos, swipes
    source varchar not null,
    line bigint,                      -- line of the file, from 1; NULL: the format has no lines
    reason varchar not null,
    detail varchar,
    raw varchar,                      -- the row as JSON
    ingested_at timestamp not null
);

-- One row per trained head.
create table facts.runs (
    run_id varchar not null,
    target varchar not null,
    setup varchar not null,
    encoder varchar not null,
    head varchar not null,
    metric varchar not null,
    dev double,
    test double,
    baseline double,
    n_train bigint not null,
    n_test bigint not null,
    hyperparameters varchar not null, -- JSON
    results varchar not null,         -- JSON: intervals, further metrics, curves
    created_at timestamp not null,
    name varchar,                     -- the name that the user gave to a run of their own; NULL: none
    origin varchar not null default 'trained' -- trained: by this program; ingested: predictions from elsewhere
);

-- One row per target with a promoted run: the run that predicts it, until another one is promoted.
create table facts.promoted_runs (
    target varchar not null,
    run_id varchar not null,
    promoted_at timestamp not null
);

create table facts.predictions (
    run_id varchar not null,
    photo_id varchar not null,
    split varchar,                    -- train, dev, test; NULL: not in the training set
    prediction double not null
);

-- One row per attempt to download a photo.
create table facts.fetch_attempts (
    photo_id varchar not null,
    url varchar not null,
    status varchar not null,
    detail varchar,
    attempt integer not null,
    started_at timestamp not null,
    duration_s double not null,
    bytes bigint not null,
    settled boolean not null          -- whether no further attempt follows automatically
);

-- One row per observation of an account or a post on a network.
create table facts.observations (
    kind varchar not null,            -- account, post
    object_id varchar not null,       -- user_id or photo_id
    followers bigint,                 -- of an account
    posts bigint,                     -- of an account, as the network counts them
    likes bigint,                     -- of a post; NULL: hidden
    comments bigint,                  -- of a post
    observed_at timestamp not null,
    ingested_at timestamp not null
);

-- State of the crawl of each account or hashtag; the newest row of a target counts.
create table facts.crawl_targets (
    target varchar not null,          -- user:NAME, recent:TAG, top:TAG
    status varchar not null,          -- open, done, or why it failed
    detail varchar,
    cursor varchar,                   -- where the crawl resumes; NULL: at the beginning, or at the end
    posts bigint not null,            -- posts that this crawl added so far
    began_at timestamp not null,      -- start of this crawl
    page integer not null,            -- page of this crawl, from 1
    user_id varchar,                  -- id of the account, if a page named it
    observed_at timestamp not null,
    ingested_at timestamp not null
);

-- Journal segments of network runs that were merged, so that none is merged twice.
create table facts.journals (segment varchar not null);

-- One row per `features build`.
create table facts.builds (
    build_id varchar not null,
    as_of timestamp,                  -- NULL: everything known
    options varchar not null,         -- JSON
    stages varchar not null,          -- JSON: seconds and rows per stage
    started_at timestamp not null,
    finished_at timestamp not null,
    known_at timestamp                -- NULL: everything known
);

-- One row per command that changed the warehouse, as of its last write.
create table facts.commands (
    command_id varchar not null,
    command varchar not null,         -- its name, without arguments
    program varchar not null,         -- version of the program
    stages varchar not null,          -- JSON: stage -> units done, seconds
    started_at timestamp not null,
    written_at timestamp not null     -- when it last wrote
);

-- One row per face found; loaded from the store's faces/*.parquet.
create table facts.faces (
    photo_id varchar not null,
    face_no integer not null,         -- from 0, by falling confidence
    x0 double not null,               -- pixels of the upright photo, as are y0, x1, y1
    y0 double not null,
    x1 double not null,
    y1 double not null,
    confidence double not null,       -- of the detector, 0 to 1
    keypoints double[]                -- x, y, x, y, ... in pixels
);

-- One row per encoder whose vectors are in the store; loaded from the manifests.
create table facts.embeddings (
    encoder varchar not null,
    dim integer not null,
    n_photos bigint not null,
    input varchar not null,           -- photo, face
    weights_sha256 varchar not null,
    index_kind varchar,               -- NULL: no index yet
    recall_at_10 double,              -- of the index against exact search; NULL: no index yet
    p50_ms double,                    -- median time of a query for ten, as measured when the index was made
    index_bytes bigint                -- memory that the index takes
);

-- The nearest photos of each photo, by encoder; made by `features build --neighbours`.
create table facts.neighbours (
    encoder varchar not null,
    photo_id varchar not null,
    rank integer not null,            -- from 1
    neighbour_id varchar not null,
    distance double not null          -- the encoder's: Euclidean, or 1 - cos
);

-- One row per encoder in facts.neighbours.
create table facts.neighbour_sets (
    encoder varchar not null,
    k integer not null,               -- number of nearest photos of each photo
    vectors_content varchar not null, -- digest of the vectors that were searched
    recall double not null            -- 1: exact search; else the recall of the index
);

-- Pairs of photos that show the same image; made by `features build --near-duplicates`.
create table facts.near_duplicates (
    photo_id varchar not null,        -- the smaller of the two ids
    other_id varchar not null,
    cluster_id varchar not null,      -- the smallest id among all photos that such pairs connect
    reason varchar not null,          -- bytes, hash, mirror, embedding
    bits integer,                     -- bits of 256 in which the hashes differ; NULL: found by embedding
    distance double                   -- distance of the embeddings; NULL: found by bytes or hash
);

-- One row: the project whose definitions the store has; no row: it has none.
create table facts.project (
    project_id varchar not null,
    name varchar not null,
    path varchar not null,            -- its folder in the last build
    linked_at timestamp not null
);

-- One row per relation of the project: its definition, and what became of it in the last build.
create table facts.own_relations (
    relation varchar not null,
    kind varchar not null,            -- sql: a SELECT; picture: the values of a Python function of pictures
    definition varchar not null,      -- the file: header and SELECT
    parameters varchar not null,      -- JSON: name -> value
    status varchar not null,          -- ok, failed, pending
    error varchar,                    -- why it failed; NULL: it did not
    tried_at timestamp,               -- when a build computed it last, or failed to; NULL: none did yet
    built_definition varchar,         -- the file that its present rows were computed from; NULL: it has no rows yet
    built_parameters varchar,         -- JSON: name -> value, for its present rows
    failed_digest varchar             -- digest of the inputs with which it failed; NULL: it did not
);

-- One row per audit of the project.
create table facts.own_audits (
    audit varchar not null,
    definition varchar not null,      -- the file: header and SELECT
    status varchar not null,          -- ok, failed, pending
    error varchar,
    tried_at timestamp,
    digest varchar                    -- digest of the audit and of what it read when it ran last
);

-- One row per version of a named training set.
create table facts.training_sets (
    name varchar not null,
    version integer not null,         -- from 1
    entity varchar not null,          -- the relation whose rows it has
    at_column varchar,                -- the column with each row's instant; NULL: the moment of the set
    target varchar not null,
    features varchar[] not null,      -- relation.column, or the name of an encoder
    as_of timestamp,                  -- NULL: no limit
    known_at timestamp,               -- NULL: no limit
    n_rows bigint not null,
    digests varchar not null,         -- JSON: digest of labels, relations, encoders, code and files
    created_at timestamp not null,
    status varchar not null           -- ok; remade: rows of erased people were removed
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
