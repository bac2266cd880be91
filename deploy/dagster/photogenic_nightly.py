"""Dagster: take in the night's files, build, check; one op per command, started every night at 02:30.

    dagster job execute --python-file photogenic_nightly.py --job photogenic_nightly

`features` is called in its own environment. Variables: PHOTOGENIC_BIN (path of `features`), PHOTOGENIC_STORE (store),
PHOTOGENIC_INCOMING (folder of the files).
"""

import os
import subprocess

from dagster import Definitions, In, Nothing, OpExecutionContext, RetryPolicy, ScheduleDefinition, job, op

FEATURES = os.environ.get("PHOTOGENIC_BIN", "/opt/photogenic/bin/features")
STORE = os.environ.get("PHOTOGENIC_STORE", "/var/lib/photogenic/store")
INCOMING = os.environ.get("PHOTOGENIC_INCOMING", "/var/lib/photogenic/incoming")


def features(context: OpExecutionContext, command: str) -> None:
    """Run one command on the store; its messages go into the log. Fails with an exit code other than 0."""
    done = subprocess.run(
        f"{FEATURES} {command}",
        shell=True,  # the names of files are patterns
        cwd=INCOMING,
        env=os.environ | {"FEATURES_STORE": STORE, "FEATURES_LOG_FORMAT": "json"},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    context.log.info(done.stderr)
    if done.returncode:
        raise RuntimeError(f"features {command} ended with exit code {done.returncode}")


AGAIN = RetryPolicy(max_retries=2, delay=300)
"""A command that was stopped continues where it stopped: retries are safe."""


@op(retry_policy=AGAIN)
def users(context: OpExecutionContext) -> None:
    """Take in users."""
    features(context, "ingest users users*.csv")


@op(retry_policy=AGAIN, ins={"after": In(Nothing)})
def photos(context: OpExecutionContext) -> None:
    """Take in photos and their pictures."""
    features(context, "ingest photos photos*.csv --images images")


@op(retry_policy=AGAIN, ins={"after": In(Nothing)})
def main_photos(context: OpExecutionContext) -> None:
    """Take in changes of main photos."""
    features(context, "ingest main-photos main_photos*.csv")


@op(retry_policy=AGAIN, ins={"after": In(Nothing)})
def swipes(context: OpExecutionContext) -> None:
    """Take in swipes."""
    features(context, "ingest swipes swipes* --max-refused 1% --least-rows 1")


@op(retry_policy=AGAIN, ins={"after": In(Nothing)})
def build(context: OpExecutionContext) -> None:
    """Bring labels, faces, embeddings and indices up to date."""
    features(context, "build")


@op(ins={"after": In(Nothing)})
def check(context: OpExecutionContext) -> None:
    """Check that nothing is stale; exit code 4 otherwise."""
    features(context, "status --check --max-age 26h")


@op(ins={"after": In(Nothing)})
def doctor(context: OpExecutionContext) -> None:
    """Check machine and store; exit code 1 where a fault is left."""
    features(context, "doctor")


@job
def photogenic_nightly() -> None:
    """Run the commands one after the other: a store has one writer at a time."""
    doctor(check(build(swipes(main_photos(photos(users()))))))


defs = Definitions(
    jobs=[photogenic_nightly],
    schedules=[ScheduleDefinition(job=photogenic_nightly, cron_schedule="30 2 * * *")],
)
