"""Which `photogenic.toml` counts, and what is refused in it: with file, line and the nearest key."""

import os
from pathlib import Path

import pytest

from docs._tools.settings import EXAMPLE
from photogenic import FeatureStore
from photogenic.config.file import load_config
from photogenic.config.schema import BUILD
from photogenic.features.build_options import BuildOptions
from photogenic.warehouse import InputError
from photogenic.warehouse.option_help import option_fields


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("FEATURES_STORE", "FEATURES_CONFIG", "FEATURES_MEMORY_LIMIT", "FEATURES_THREADS"):
        monkeypatch.delenv(name, raising=False)


def write(path, text):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def window(**given):
    return load_config(**given).labels.get("window")


def test_without_a_file_there_are_no_values():
    config = load_config()
    assert (config.path, config.store, config.labels, config.sources) == (None, None, {}, ())


def test_the_named_file_counts_before_the_working_folder_and_that_before_the_store(monkeypatch):
    write("elsewhere/photogenic.toml", "[faces]\nmodel = 'full'")
    assert load_config(store="elsewhere/store").path == Path.cwd() / "elsewhere/photogenic.toml"
    write("photogenic.toml", "[labels]\nwindow = 'every'")
    assert window(store="elsewhere/store") == "every"
    write("named.toml", "[labels]\nwindow = 'latest'")
    monkeypatch.setenv("FEATURES_CONFIG", "named.toml")
    assert window(store="elsewhere/store") == "latest"
    write("argument.toml", "")
    assert load_config("argument.toml").path == Path.cwd() / "argument.toml"
    monkeypatch.setenv("FEATURES_CONFIG", "")
    assert window() == "every"


def test_a_file_of_another_store_is_passed_over(monkeypatch):
    write("photogenic.toml", "store = 'mine'\n[labels]\nwindow = 'every'")
    write("other/photogenic.toml", "[labels]\nmin_swipes = 7")
    assert window() == window(store="mine") == window(store=Path.cwd() / "mine") == "every"
    assert load_config(store="other/store").labels == {"min_swipes": 7}
    assert load_config(store="third").path is None
    monkeypatch.setenv("FEATURES_STORE", "third")
    assert load_config().path is None
    assert window(path="photogenic.toml", store="third") == "every"  # a file that is named counts


def test_folders_and_files_start_from_the_folder_of_the_file(monkeypatch):
    write("deep/p.toml", 'store = "../s"\n[[sources]]\nkind = "photos"\nfiles = ["log/*.csv", "/a.csv"]\nimages = "i"')
    config = load_config("deep/p.toml")
    assert config.store == Path("deep/../s")
    (source,) = config.sources
    assert (source.files, source.images) == (("deep/log/*.csv", "/a.csv"), Path("deep/i"))
    assert FeatureStore(config="deep/p.toml").layout.root == Path("deep/../s")
    monkeypatch.setenv("FEATURES_STORE", "of-the-environment")
    assert FeatureStore(config="deep/p.toml").layout.root == Path("of-the-environment")
    assert FeatureStore("argument", config="deep/p.toml").layout.root == Path("argument")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stroe = 's'", r"photogenic.toml:1: the file has no key 'stroe'\.\nExpected: one of store, .*\nTry: store"),
        ("\n[labels]\nmin_swipe = 3", r"toml:3: \[labels\] has no key 'min_swipe'\.\nExpected: .*\nTry: min_swipes"),
        ("[labels]\nmin-swipes = 3", r"no key 'min-swipes'\.\nExpected: .*\nTry: min_swipes"),
        ("[labels]\nmin_swipes = 0", r"toml:2: min_swipes is 0\.\nExpected: a whole number from 1 to"),
        ("[labels]\nmin_swipes = '3'", r"min_swipes is '3'\.\nExpected: a whole number"),
        ("[labels]\nmin_swipes = true", r"min_swipes is True\."),
        ("[labels]\nmad_threshold = nan", r"mad_threshold is nan\."),
        ("[labels]\nmad_threshold = 0x" + "f" * 999, r"mad_threshold is a number of 3,996 bits\."),
        (
            "[labels]\nwindow = 'newest'",
            r"window is 'newest'\.\nExpected: one of latest, every\nTry: window = \"latest\"",
        ),
        ("[labels]\nearliest_post = 'soon'", r"earliest_post is 'soon'\.\nExpected: a day or an instant"),
        ("labels = 3", r"labels is 3\.\nExpected: a table: \[labels\]"),
        ("[build]\nrecall = 2", r"recall is 2\.\nExpected: a number from 0 to 1\nTry: recall = 0\.99"),
        ("[build]\nencoders = []", r"encoders is a list\.\nExpected: a list of names"),
        ("[build]\nindex_memory = 'much'", r"index_memory is 'much'\.\nExpected: a size"),
        ("[build]\nflip = 1", r"flip is 1\.\nExpected: true or false"),
        ("[build]\nas_of = 2024-01-01", r"as_of is the choice of one build\."),
        ("[build]\nmaster = 'spark://evil:7077'", "master is chosen on the command line, and the store keeps"),
        ("[faces]\nconfidence = 1", r"confidence is 1\.\nExpected: a number from above 0 to below 1"),
        ("[settings]\nmemory_limit = '-1GB'", r"memory_limit is '-1GB'\.\nExpected: a size of at least 1MB"),
        ("[settings]\nthreads = 0", r"threads is 0\.\nExpected: a whole number from 1"),
        ("[settings]\nthreads = 1.5", r"threads is 1\.5\."),
        ("[settings]\nlock_timeout = -1", r"lock_timeout is -1\.\nExpected: a number of seconds"),
        (
            "[settings]\nserve_token = 'hunter2'",
            r"toml:2: 'serve_token' is a secret, and this file is no place for one",
        ),
        ("password = 'hunter2'", "'password' is a secret"),
        ("modules = ['evil']", "'modules' would run code, which this file may not"),
        ("[checks]\nmax_refused = '101%'", r"max_refused is '101%'\.\nExpected: a share"),
        ("[checks]\nleast_rows = -1", r"least_rows is -1\."),
        ("[checks]\nmax_age = 26", r"max_age is 26\.\nExpected: a time with its unit"),
        ("[[sources]]\nkind = 'swipes'\nfiles = 'a'\n[[sources]]\nkind = 'likes'", r"toml:5: kind is 'likes'\."),
        ("[[sources]]\nkind = 'swipes'", r"files is None\.\nExpected: a list"),
        ("[[sources]]\nkind = 'swipes'\nfiles = ['-']", r"files is '-'\.\nExpected: files and globs"),
        ("[[sources]]\nkind = 'swipes'\nfiles = 'a'\nmapping = 'm'", r"mapping is 'm'\."),
        ("[[sources]]\nkind = 'swipes'\nfiles = 'a'\nimages = 'i'", "images only with kind"),
        (
            "[[sources]]\nkind = 'users'\nfiles = 'postgresql://me:hunter2@h/d'",
            "an address has a password or another secret",
        ),
        (
            "[mappings.swipes.columns]\nsender_id = 3",
            r"toml:1: mappings.swipes: columns.sender_id is 3\.\nExpected: the name of a column",
        ),
        (
            "[mappings.swipe.columns]\nsender_id = 'a'",
            r"no rows are read by \[mappings.swipe\]\.\nE.*\nTry: \[mappings.swipes",
        ),
        ("[mappings.swipes.colums]\na = 'b'", r"mappings.swipes: 'colums' is not known"),
        ("mappings = {swipes = 3}", r"swipes is 3\.\nExpected: a table"),
        ("store = ''", r"store is ''\.\nExpected: a path"),
        ('store = "a\\u0000b"', "Expected: a path"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text, message):
    write("photogenic.toml", text)
    with pytest.raises(InputError, match=message) as error:
        FeatureStore("store")
    assert "hunter2" not in str(error.value)
    assert len(str(error.value).splitlines()) == 3


def test_a_folder_and_a_pipe_of_that_name_are_refused():
    Path("photogenic.toml").mkdir()
    with pytest.raises(InputError, match=r"The file photogenic.toml is not a file\."):
        load_config()
    Path("photogenic.toml").rmdir()
    os.mkfifo("photogenic.toml")
    with pytest.raises(InputError, match=r"is not a file\."):
        load_config()


def test_a_named_file_that_is_not_there_is_an_error():
    with pytest.raises(InputError, match=r"The file none.toml cannot be read: No such file"):
        FeatureStore("store", config="none.toml")


def test_options_that_the_file_has_are_options_of_a_build():
    known = {field.name for field in option_fields(BuildOptions) if field.nested is None}
    assert known - set(BUILD) == {
        *("only", "decoded", "as_of", "known_at", "publish", "force", "retry_features", "replace_project"),
        *("engine", "master", "facts"),
    }


def test_the_example_of_the_documentation_is_read():
    write("photogenic.toml", EXAMPLE.partition("\n")[2].removesuffix("```"))
    config = load_config()
    assert (config.store, config.labels) == (Path("store"), {"window": "every", "min_swipes": 20})
    assert config.mapping("swipes").columns == {"sender_id": "from_member"}
    assert config.sources_of("swipes")[0].files == ("log/*.parquet",)
