"""Airflow: take in the night's files, build, check. One task per command, so that each has its own log and retries.

Put this file into the folder of DAGs. `features` is called in its own environment, since Airflow pins other versions of
shared packages. Variables of the scheduler's environment:

    PHOTOGENIC_BIN       path of `features`, default /opt/photogenic/bin/features
    PHOTOGENIC_STORE     store, default /var/lib/photogenic/store
    PHOTOGENIC_INCOMING  folder of the files, default /var/lib/photogenic/incoming
"""

import datetime as dt
import os

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

FEATURES = os.environ.get("PHOTOGENIC_BIN", "/opt/photogenic/bin/features")
STORE = os.environ.get("PHOTOGENIC_STORE", "/var/lib/photogenic/store")
INCOMING = os.environ.get("PHOTOGENIC_INCOMING", "/var/lib/photogenic/incoming")


def task(task_id: str, command: str, **options: object) -> BashOperator:
    """Make a task that runs one command on the store."""
    return BashOperator(
        task_id=task_id,
        bash_command=f"{FEATURES} {command}",
        env={"FEATURES_STORE": STORE, "FEATURES_LOG_FORMAT": "json"},
        append_env=True,
        cwd=INCOMING,
        **options,
    )


with DAG(
    "photogenic_nightly",
    schedule="30 2 * * *",
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    catchup=False,
    # A store has one writer at a time.
    max_active_runs=1,
    # A run that was stopped continues where it stopped: retries are safe for every task.
    default_args={"retries": 2, "retry_delay": dt.timedelta(minutes=5)},
) as dag:
    users = task("users", "ingest users users*.csv")
    photos = task("photos", "ingest photos photos*.csv --images images")
    main_photos = task("main_photos", "ingest main-photos main_photos*.csv")
    # Exit code 3 if more rows are refused, or if none come. The same call again ends in the same way.
    swipes = task("swipes", "ingest swipes swipes* --max-refused 1% --least-rows 1", retries=0)
    build = task("build", "build", execution_timeout=dt.timedelta(hours=6))
    # Exit code 4 if something is stale, or the newest data in the labels are older.
    check = task("check", "status --check --max-age 26h")
    # Exit code 1 where a fault is left.
    doctor = task("doctor", "doctor")
    users >> photos >> main_photos >> swipes >> build >> check >> doctor
