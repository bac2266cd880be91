"""Files of own relations: what is refused, with a message that names file, rule and remedy."""

import pytest

from photogenic import sql
from photogenic.warehouse import InputError
from photogenic.warehouse.catalog import in_order, parse
from photogenic.warehouse.definitions.definition import check_audit, check_relation
from photogenic.warehouse.definitions.dependencies import circles
from tests.warehouse.definitions.own import audit_file, received, sql_file
from tests.warehouse.small import add_facts, store

KNOWN = (*sql.NAMES, "received", "other")


@pytest.fixture(scope="module")
def con(tmp_path_factory):
    db = store(tmp_path_factory.mktemp("definition"))
    add_facts(db)
    with db.read() as con:
        yield con


def refused(con, name, text):
    with pytest.raises(InputError) as error:
        check_relation(con, name, text, KNOWN)
    assert error.value.expected
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("swipes", "is a relation of Photogenic"),
        ("photo_labels", "is a relation of Photogenic"),
        ("facts", "is a name that builds use"),
        ("moment", "is a name that builds use"),
        ("former_user_genders", "is a name that builds use"),
        ("new_swipes", "is a name that builds use"),
        ("vectors", "is a name of vectors in SQL"),
        ("vectors_mine", "is a name of vectors in SQL"),
        ("similar", "is a name of vectors in SQL"),
        ("select", "is a word of SQL"),
        ("order", "is a word of SQL"),
        ("duckdb_tables", "is a name that builds use"),
        ("schemata", "is a view of DuckDB"),
        ("Received", "cannot be the name"),
        ("a b", "cannot be the name"),
        ('a"; drop table facts.users; --', "cannot be the name"),
        ("é", "cannot be the name"),
        ("1st", "cannot be the name"),
        ("x" * 64, "cannot be the name"),
    ],
)
def test_a_name_that_something_has_or_that_is_no_word_is_refused(con, name, why):
    assert why in refused(con, name, received(name))


@pytest.mark.parametrize(
    ("select", "reads", "why"),
    [
        ("select cast(1 as bigint) as n -- x\nfrom facts.users", "facts.users", "reads facts.users"),
        ("select cast(1 as bigint) as n -- x\nfrom main.users", "main.users", "reads main.users"),
        ("select cast(1 as bigint) as n -- x\nfrom store.main.users", "users", "reads store.main.users"),
        ("select cast(1 as bigint) as n -- x\nfrom user", "user", "reads user, which is no relation"),
        ("select cast(1 as bigint) as n -- x\nfrom usres", "usres", "similar names: users"),
        ("select cast(1 as bigint) as n -- x\nfrom users", "photos", "says `reads: photos`"),
        ("select cast(1 as bigint) as n -- x\nfrom users", "users, photos", "says `reads: users, photos`"),
        ("with users as (select 1) select cast(1 as bigint) as n -- x\nfrom users", "users", "Expected: reads: none"),
        ("select cast(1 as bigint) as n -- x\nfrom checksums", "checksums", "which every build changes"),
        ("select cast(1 as bigint) as n -- x\nfrom own_relations", "own_relations", "which every build changes"),
        ("select cast(random() as bigint) as n -- x\nfrom users", "users", "uses random"),
        ("select cast(now() as timestamp) as n -- x\nfrom users", "users", "uses now"),
        ("select cast(age(created_at) as varchar) as n -- x\nfrom users", "users", "uses age(instant)"),
        ("select cast(age(created_at, created_at) as varchar) as n -- x\nfrom users", "photos", "says `reads: photos`"),
        ("select cast(current_date as date) as n -- x\nfrom users", "users", "uses current_date"),
        ("select cast(1 as bigint) as n -- x\nfrom users using sample 3", "users", "uses a random sample"),
        ("select cast(uuid() as varchar) as n -- x\nfrom users", "users", "uses uuid"),
        ("select cast(1 as bigint) as n -- x\nfrom duckdb_tables()", "none", "reads the function duckdb_tables"),
        ("select cast(1 as bigint) as n -- x\nfrom duckdb_tables", "duckdb_tables", "reads duckdb_tables"),
        ("select cast(1 as bigint) as n -- x\nfrom read_csv('/etc/passwd')", "none", "read_csv is not allowed"),
        ("select cast(1 as bigint) as n -- x\nfrom '/etc/passwd'", "none", "is not a relation of the store"),
        ("select cast(getenv('HOME') as varchar) as n -- x\nfrom users", "users", "getenv"),
        ("copy (select 1) to '/tmp/x'", "none", "COPY is not allowed"),
        ("attach '/tmp/x.db'", "none", "ATTACH is not allowed"),
        ("with x as (copy (select 1) to '/tmp/x') select cast(1 as bigint) as n -- x", "none", "not allowed"),
        ("create table x as select 1", "none", "would change data"),
        ("drop table photo_labels", "none", "would change data"),
        ("select 1; select 2", "none", "There are 2 statements"),
        ("", "none", "gives no rows"),
        ("pivot users on gender using count(*)", "users", "is no plain SELECT"),
        ("show tables", "none", "is no plain SELECT"),
        ("select cast(1 as bigint) as n -- x\nfrom users where", "users", "syntax error"),
        ("select 1 as n from users", "users", "declares no column"),
        ("select cast(1 as bigint) as N -- x\nfrom users", "users", "has a column N"),
        ("select cast('{}' as json) as n -- x\nfrom users", "users", "of type json"),
        ("select cast($days as bigint) as n -- x\nfrom users", "users", "uses $days, which has no value"),
        ("select cast(1 as bigint) as n -- x\nfrom users where $1", "users", "uses $1, which has no value"),
        ("select cast(1 as bigint) as m -- x\nfrom users", "users", "has the grain 'n'"),
    ],
)
def test_sql_that_breaks_a_rule_is_refused(con, select, reads, why):
    assert why in refused(con, "mine", sql_file("mine", select, reads=reads, grain="n"))


@pytest.mark.parametrize(
    ("select", "read"),
    [
        ("select photo_id -- x\nfrom vectors_dlib_face", "vectors_dlib_face"),
        ("select photo_id -- x\nfrom photos where photo_id in (select photo_id from VECTORS_toy)", "vectors_toy"),
        ("select encoder as photo_id -- x\nfrom vectors()", "the function vectors"),
        ("select near.photo_id as photo_id -- x\nfrom photos, similar(photos.photo_id) near", "the function similar"),
        (
            "select a.photo_id as photo_id -- x\nfrom vectors_toy a"
            " join vectors_toy b exact nearest 1 by distance array_distance(a.embedding, b.embedding)",
            "vectors_toy",
        ),
    ],
)
def test_what_reads_vectors_is_refused_because_no_build_knows_when_they_change(con, select, read):
    said = refused(con, "mine", sql_file("mine", select, reads="photos", grain="photo_id"))
    assert f"relations/mine.sql reads {read}, and vectors change without a build of relations" in said
    assert "features sql" in said


def test_a_header_that_lacks_a_key_is_refused(con):
    assert "the header lacks source" in refused(con, "mine", received("mine").replace("-- source: test\n", ""))
    assert "must begin with" in refused(con, "mine", received("other"))
    assert "is not a list like" in refused(con, "mine", sql_file("mine", "", reads="none", parameters="days = x"))


def test_an_interval_relation_needs_both_instants(con):
    text = sql_file("mine", "select cast(1 as bigint) as user_id -- x", reads="none", time="[valid_from, valid_to)")
    assert "does not declare both columns as timestamp" in refused(con, "mine", text)


def test_parameters_without_a_use_are_refused(con):
    text = sql_file("mine", "select cast(1 as bigint) as user_id -- x", reads="none", parameters="days = 1")
    assert "gives days a value and does not use it" in refused(con, "mine", text)


def test_upper_case_sql_and_unions_are_read(con):
    text = sql_file(
        "mine",
        "WITH a AS (SELECT CAST(user_id AS VARCHAR) AS id -- within\nFROM Users)\n"
        "SELECT CAST(id AS VARCHAR) AS user_id, -- who\nCAST($days AS DOUBLE) AS days -- $no 'text'\nFROM a\n",
        reads="users",
        parameters="days = 1.5",
    )
    definition = check_relation(con, "mine", text, KNOWN)
    assert [(column.name, column.type) for column in definition.relation.columns] == [
        ("user_id", "varchar"),
        ("days", "double"),
    ]
    assert definition.parameters == ("days",)


def test_an_audit_needs_its_header_and_reads_no_base_table(con):
    audit = check_audit(con, "mine", audit_file("mine", "select 1 from received;", reads="received"), KNOWN)
    assert (audit.reads, audit.promise) == (("received",), "no row")
    for text, why in (
        ("select 1", "must begin with"),
        (audit_file("mine", "select 1 from facts.users", reads="facts.users"), "reads facts.users"),
        (audit_file("mine", "select 1 from users where user_id = $x", reads="users"), "has parameters"),
    ):
        with pytest.raises(InputError, match=why):
            check_audit(con, "mine", text, KNOWN)


def test_relations_are_sorted_by_what_they_read_and_circles_are_found():
    reads = {"a": "b", "b": "c", "c": "users", "d": "e", "e": "f", "f": "d", "g": "g", "h": "e"}
    own = {name: parse(name, sql_file(name, "select 1", reads=read)) for name, read in reads.items()}
    order = in_order(own)
    assert order.index("c") < order.index("b") < order.index("a")
    assert sorted(order) == sorted(reads)
    assert sorted(circles(own)) == [("d", "e", "f"), ("g",)]
