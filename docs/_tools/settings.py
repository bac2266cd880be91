"""docs/reference/settings.md: the file photogenic.toml, all environment variables, and what sets the same thing.

The table is written here, because each variable is read where it is needed. A test finds every `FEATURES_...` in the
code and requires it here, and every option named here on the command line.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from docs._tools.markdown import NOTE, code, table
from photogenic.config.schema import BUILD, CHECKS
from photogenic.features.faces.settings import FaceSettings
from photogenic.warehouse.labels.options import LabelOptions


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable.

    Attributes:
        name: its name.
        option: command and option, or Python parameter, that sets the same thing for one call; empty: none.
        values: values and unit.
        default: what holds if it is not set.
        acts: which commands it changes, and how.
    """

    name: str
    option: str
    values: str
    default: str
    acts: str


VARIABLES = (
    Variable(
        "FEATURES_STORE",
        "`--store` of each command, `FeatureStore(path)`",
        "a folder",
        "`./store`",
        "Store of every command and of `FeatureStore()`.",
    ),
    Variable(
        "FEATURES_CONFIG",
        "`--config` of each command, `FeatureStore(config=FILE)`",
        "a file",
        "`photogenic.toml` in the working folder, else beside the store",
        "File of settings of every command and of `FeatureStore()`.",
    ),
    Variable(
        "FEATURES_PROJECT",
        "`--project` of each command, `FeatureStore(project=FOLDER)`",
        "a folder",
        "the working folder, or the nearest one above it, if it is a project",
        "[Project](../guides/projects.md) of every command and of `FeatureStore()`. Its `features.py` may run.",
    ),
    Variable(
        "FEATURES_MEMORY_LIMIT",
        "`Settings(memory_limit=...)`",
        "a size such as `3GB`, `500MiB` or `10%` of the machine; at least `1MB`",
        "a quarter of the machine's memory, from 1 to 4 GB",
        "Buffer memory of DuckDB in every command. The process takes about 1 GB more.",
    ),
    Variable(
        "FEATURES_THREADS",
        "`Settings(threads=...)`",
        "a whole number from 1 to 1024",
        "the cores that the process may use, within the quota of its container",
        "Threads of everything: SQL, decoding, networks, search and training.",
    ),
    Variable(
        "FEATURES_LOCK_TIMEOUT",
        "`Settings(lock_timeout_s=...)`",
        "seconds, from 0",
        "`60`",
        "How long a command that writes waits for another one that writes.",
    ),
    Variable(
        "FEATURES_RELATION_TIMEOUT",
        "`Settings(relation_timeout_s=...)`",
        "seconds, more than 0",
        "`600`",
        "How long one relation of your own may be computed. Then it fails, and the build goes on.",
    ),
    Variable(
        "FEATURES_ENCODER",
        "`Settings(encoder=...)`",
        "the name of an encoder that has an index",
        "the first of `efficientnet_lite0` and `dlib_face` that has an index, else any",
        "Encoder of searches that name none: `similar`, the API, SQL and the pages.",
    ),
    Variable(
        "FEATURES_DEVICE",
        "`--device` of `train`, `finetune`, `predict` and `crop`",
        "`cpu`, `cuda`, `cuda:1`",
        "the first GPU, else the CPU",
        "Device of the networks and of training, also in `build` and `serve`.",
    ),
    Variable(
        "FEATURES_GPU",
        "",
        "`0` or `1`",
        "`1`",
        "`0` makes FAISS leave the GPU alone, in `build` and `similar`.",
    ),
    Variable(
        "FEATURES_WEIGHTS",
        "",
        "a folder",
        "the user's cache folder, such as `~/.cache/photogenic/weights`",
        "Folder in which weights of networks are looked for first, and into which `features weights add` copies.",
    ),
    Variable(
        "FEATURES_MODULES",
        "",
        "names of Python modules, separated by commas",
        "none",
        "Modules that register encoders and heads of your own. They must be on `PYTHONPATH`.",
    ),
    Variable(
        "FEATURES_ENCODERS",
        "",
        "as `FEATURES_MODULES`",
        "none",
        "Former name of `FEATURES_MODULES`. It is still read.",
    ),
    Variable(
        "FEATURES_LOG_FORMAT",
        "`features --log-format`",
        "`text` or `json`",
        "`text`",
        "Format of standard error of every command: text, or one JSON object per line.",
    ),
    Variable(
        "FEATURES_NETWORK_TIMEOUT",
        "",
        "seconds, from 1 to 3,600",
        "`15`",
        "Time without a byte after which a request to an object store, or for a file of a web server, has failed.",
    ),
    Variable(
        "FEATURES_SERVE_TOKEN",
        "`features serve --token`",
        "a text",
        "none: only this machine is answered",
        "Token that requests to `features serve` must send.",
    ),
    Variable(
        "FEATURES_TOKENS",
        "",
        "a folder",
        "the user's data folder, such as `~/.local/share/photogenic/tokens`",
        "Folder of the access tokens that `features login` adds and `features crawl` uses.",
    ),
    Variable(
        "FEATURES_APP_SECRET",
        "",
        "a text",
        "`features login` asks for it",
        "Secret of the app, for `features login`.",
    ),
)

OTHERS = (
    ("NO_COLOR", "If it is set, tables and help on a terminal have no colors and no bold text."),
    ("TERM", "If it is `dumb`, `unknown` or not set: progress as lines, no pager, and no bold text in help."),
    (
        "PYTHONPATH",
        "Where modules named in `FEATURES_MODULES` are found. Its folders are searched last, so no file there can "
        "replace a module of the program.",
    ),
    ("JAVA_HOME", "Java of Spark, version 17 or newer. Default: `java` on `PATH`."),
    ("SPARK_CONF_DIR", "Configuration of Spark: memory, cores, and access to hdfs:// and s3a://."),
    ("PYSPARK_PYTHON", "Python of Spark's workers. Default on this machine: the Python that runs the command."),
    ("SPARK_LOCAL_IP", "Address of Spark on this machine. Default with `--master local`: `127.0.0.1`."),
    (
        "OMP_NUM_THREADS",
        "Threads of numeric libraries. If it is not set, the program sets it, as it does for OpenBLAS, MKL and polars.",
    ),
)
"""Variables of other programs and libraries that change what the program does."""


EXAMPLE = """```toml title="photogenic.toml"
store = "store"

[settings]
memory_limit = "3GB"

[build]
encoders = ["dlib_face"]
dtype = "float16"

[labels]
window = "every"
min_swipes = 20

[checks]
max_refused = "1%"
least_rows = 1000
max_age = "26h"

[mappings.swipes.columns]
sender_id = "from_member"

[mappings.swipes.values.liked]
boost = true

[[sources]]
kind = "swipes"
files = ["log/*.parquet"]
```"""


def _keys(names: Iterable[str]) -> str:
    return ", ".join(map(code, names))


SECTIONS = (
    ("", "`store`", "Folder of the store."),
    (
        "[settings]",
        _keys(("memory_limit", "threads", "lock_timeout", "relation_timeout", "encoder")),
        "As the variables below, in lower case.",
    ),
    ("[build]", _keys(BUILD), "Options of `features build`, as in [BuildOptions](python.md#options)."),
    (
        "[faces]",
        _keys(field.name for field in fields(FaceSettings)),
        "`--face-model` and `--face-confidence` of a build.",
    ),
    ("[labels]", _keys(field.name for field in fields(LabelOptions)), "Label options of `features build`."),
    (
        "[checks]",
        _keys(CHECKS),
        "Limits of a night, as `--max-refused` and `--least-rows` of `features ingest`, and as `--max-refused` and "
        "`--max-age` of `features status --check`. They hold wherever the option is not given, also in Python.",
    ),
    (
        "[mappings.KIND]",
        "`columns`, `values`, `units`",
        "How files of one kind are read, as in a mapping file of `features ingest --mapping`. Under another name it "
        "holds for the sources that name it.",
    ),
    (
        "[[sources]]",
        "`name`, `kind`, `files` or `from`, `query`, `watermark`, `lookback`, `retract`, `mapping`, `images`",
        "Where rows come from. `files`: files and globs, which `features ingest KIND` reads if no FILE is given. "
        "`from`: what `features sync` takes in [if it is new](../guides/sync.md). `images` is the folder of pictures, "
        "for photos.",
    ),
    (
        "[project]",
        "`name`, `id`",
        "They make the folder of the file a [project](../guides/projects.md). `features init NAME` writes them.",
    ),
    (
        "[parameters.RELATION]",
        "those of the relation",
        "Values of the parameters that `relations/RELATION.sql` declares: numbers, texts, true, false, days, instants.",
    ),
)
"""Sections of the file, their keys, and what they are."""


def page(_: str) -> str:
    """Return the page."""
    parts = [
        NOTE,
        "# Settings",
        "A setting has a value from one of five places. Later ones win:",
        "1. the default,\n"
        "2. the last build of this store, for label options and for options whose help says so,\n"
        "3. the file `photogenic.toml`,\n"
        "4. the environment,\n"
        "5. the command line; in Python the argument.",
        "`features config` prints every setting, its value, and the place that it comes from: the line of the file, "
        "the name of the variable, or the id of the build. `FeatureStore.config()` returns the same as a frame. "
        "Secrets are not shown.",
        "## The file photogenic.toml",
        EXAMPLE,
        "The file is looked for in the working folder, then as the file of a project in the nearest folder above, and "
        "then beside the store, in the folder that holds it. `--config FILE`, `FeatureStore(config=FILE)` or "
        "`FEATURES_CONFIG` names another file, and `--project FOLDER`, `FeatureStore(project=FOLDER)` or "
        "`FEATURES_PROJECT` that of a project. A file with a key `store` belongs to that store: where it was found and "
        "not named, commands for another store pass it over. Paths in it start from the folder of the file.",
        table(
            ("section", "keys", "what they are"),
            ((code(section) if section else "above all sections", keys, text) for section, keys, text in SECTIONS),
        ),
        "An unknown key, a wrong type or a value out of range ends every command with exit code 1 and a message with "
        "file and line. Somebody else may have written the file, so it may not name what runs code "
        "(`FEATURES_MODULES`), another machine (`--master`, `--facts`), or a secret. It cannot widen what SQL and the "
        "web server may read.",
        "## Environment variables",
        "A variable with a value that cannot be used ends every command with a message and exit code 1, or 2 for "
        "`FEATURES_LOG_FORMAT`. A variable that is set to an empty text counts as not set.",
        table(
            ("variable", "what it sets", "values", "default", "the same for one call"),
            (
                (f'<span id="{v.name.lower()}"></span>{code(v.name)}', v.acts, v.values, v.default, v.option)
                for v in VARIABLES
            ),
        ),
        "All other options are on the page [Command line](command-line.md), with type and default. The fields of the "
        "options classes in Python are on the page [Python](python.md#options).",
        "## Variables of other programs",
        table(("variable", "what it changes"), ((code(name), text) for name, text in OTHERS)),
    ]
    return "\n\n".join(parts) + "\n"
