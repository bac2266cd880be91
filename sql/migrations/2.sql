-- From version 1, that of the release 0.1.0: a store has an id, and a history of the commands that changed it.
create table facts.identity (store_id varchar not null);
insert into facts.identity values (cast(uuid() as varchar));

create table facts.commands (
    command_id varchar not null,
    command varchar not null,
    program varchar not null,
    stages varchar not null,
    started_at timestamp not null,
    written_at timestamp not null
);
