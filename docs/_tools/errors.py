"""docs/reference/errors.md: the tree of errors, and every closed list of reasons and statuses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import get_args

from docs._tools.markdown import NOTE, code, sentence, table
from photogenic.app.serve.http.errors import CODES, to_api_error
from photogenic.features.images.decode import Status as Decoded
from photogenic.ingest.download.statuses import STATUSES
from photogenic.ingest.instagram.client import CRAWL_STATUSES
from photogenic.ingest.instagram.token_store import TokenState
from photogenic.ingest.tabular.schemas import REASONS
from photogenic.maintenance.doctor.finding import State
from photogenic.warehouse import errors
from photogenic.warehouse.catalog import relation

SWIPES = {
    "kept": "It counts in both windows, `latest` and `every`.",
    "stale_photo": "The recipient showed another photo then than now. It counts in the window `every` only.",
    "photo_removed": "The recipient had removed the main photo.",
    "foreign_photo": "The recipient showed a photo that belongs to another user.",
    "self_swipe": "Sender and recipient are the same user.",
    "before_first_photo": "It happened before the recipient's first main photo.",
    "no_photo": "The recipient never had a main photo.",
    "unknown_recipient": "The recipient is not among the users.",
}
"""Reasons in `swipe_audit`."""

POSTS = {
    "no_date": "The post has no date.",
    "impossible_date": "The post is older than `--earliest-post`, or lies in the future.",
    "too_young": "The post was younger than `--min-age-days` when its likes were counted.",
    "hashtag": "The post lacks the hashtag that `--hashtag` asks for.",
    "no_followers": "The owner's followers are unknown, or none.",
    "mad_low": "The owner has far fewer followers than the others, by the median absolute deviation.",
    "mad_high": "The owner has far more followers than the others, by the median absolute deviation.",
    "no_picture": "A face is asked for, and the store has no picture of the post.",
    "no_face": "A face is asked for, and none was found with enough confidence.",
    "only_post": "Posts are compared within their owner, who has no other.",
}
"""Reasons in `follower_ratios.dropped`."""

PHOTOS = {
    "ok": "The picture is in the store and can be decoded.",
    "missing": "There is no file, or its download failed.",
    "empty": "The file has no bytes.",
    "not_an_image": "The bytes are not a picture.",
    "unsupported_format": "The bytes are a picture of a format that is not read.",
    "truncated": "The file ends too early.",
    "unreadable": "The file cannot be decoded.",
    "too_large": "The picture has more bytes or pixels than allowed.",
    "detector_failed": "The face detector failed on the picture.",
    "erased": "The bytes are those of a photo that was erased.",
}
"""Statuses in `photos.status`."""

PREDICTIONS = {
    "ok": "There is a prediction.",
    "no_face": "The head needs one face, and none was found.",
    "several_faces": "The head needs one face, and several were found.",
    "not_built": "The photo is in the store without the faces or vectors that `features build` computes.",
    "faces_do_not_fit": "Only `features crop`: no crop of that shape contains all faces.",
}
"""Statuses of `features predict` and `features crop`, besides those of photos."""

TOKENS = {
    "ready": "The token can be used.",
    "expired": "Its time is over. Log in again.",
    "revoked": "The network no longer accepts it. Log in again.",
    "no_permission": "The account did not grant what a crawl needs.",
}

DOCTOR = {
    "ok": "Nothing is wrong.",
    "note": "Something to know. Nothing fails.",
    "fault": "Something fails or will fail. The finding has a remedy.",
    "fixed": "A fault that `--fix` repaired.",
}

DUPLICATES = {
    "bytes": "The files are equal.",
    "hash": "The pictures look the same, by a hash of 256 bits.",
    "mirror": "One looks like the mirror image of the other.",
    "embedding": "Their embeddings are nearly equal.",
}

REMEDIES = {
    "InputError": "Correct the file or the option that the message names.",
    "ConflictError": "Leave out one of the options that the message names.",
    "SyncError": "Remove the cause that the message names, and run `features sync` again: it goes on where it ended.",
    "ThresholdError": "Run the query of the message, correct the files or raise the threshold, and load them again.",
    "StoreError": "Run the command of the message; `features doctor` examines the store.",
    "LockedError": "Wait for the process that the message names, or raise `FEATURES_LOCK_TIMEOUT`.",
    "QueryError": "Correct the query. The message has DuckDB's own words.",
    "QueryMemoryError": "Raise `FEATURES_MEMORY_LIMIT`, or ask for less at once.",
    "AuditError": "The former relations are still there. Report it with the name of the audit.",
    "WeightsError": "`features weights list` shows where weights are looked for; `features weights fetch` brings them.",
    "EncoderError": "`features encoders` lists the names. Your own need a project or `FEATURES_MODULES`.",
    "NetworkError": "Read the answer of the service in the message. Run the command again later.",
    "OutputError": "Send the output to a file on a disk with free space.",
    "ResourceError": "Lower `FEATURES_THREADS` or `FEATURES_MEMORY_LIMIT`, or raise the limits of the machine.",
    "MissingPartError": "Install what the message names.",
}
"""What to do, by class. A test holds the keys to the classes."""


def page(_: str) -> str:
    """Return the page.

    Raises:
        ValueError: A list here is not the list of the code.
    """
    _same("swipe_audit", SWIPES, _words("swipe_audit", "reason"))
    _same("follower_ratios.dropped", POSTS, _words("follower_ratios", "dropped"))
    _same("photos.status", PHOTOS, _words("photos", "status"))
    _same("decode", PHOTOS, {*get_args(Decoded), "missing", "erased"})
    _same("near_duplicates.reason", DUPLICATES, _words("near_duplicates", "reason"))
    _same("TokenState", TOKENS, get_args(TokenState))
    _same("doctor", DOCTOR, get_args(State))
    _same("errors", REMEDIES, {kind.__name__ for depth, kind in _tree(errors.PhotogenicError) if depth})
    parts = [
        NOTE,
        "# Errors and statuses",
        "An error ends a command. Its message has three parts: what happened, what was expected, and what to do. A "
        "*reason* or a *status* belongs to one row, swipe, photo or download, and ends nothing: the rest goes on. "
        "[Troubleshooting](../guides/troubleshooting.md) has frequent messages by their text.",
        "## Errors",
        "All are subclasses of `photogenic.PhotogenicError`, with the attributes `what`, `expected` and `remedy`. Any "
        "other exception is a bug, and shows its traceback.",
        table(("error", "what it says", "exit code", "HTTP", "what to do"), _errors()),
        "Other exit codes are on the page [Command line](command-line.md#exit-codes).",
        "## Codes of the API",
        'The API answers an error with `{"code": ..., "message": ..., "remedy": ...}` and the status of the code.',
        table(("code", "status", "meaning"), ((code(name), str(n), text) for name, (n, text) in CODES.items())),
        "## Refused rows",
        "Each refused row of a file is a row of [`rejects`](relations.md#rejects) with file, line and reason. "
        "`read = new + corrected + retracted + known + refused` holds for every file.",
        _listed("reason", REASONS),
        "## Swipes",
        "Each swipe stands under one reason of [`swipe_audit`](relations.md#swipe_audit).",
        _listed("reason", SWIPES),
        "## Posts without a label",
        "The first reason that holds stands in `dropped` of [`follower_ratios`](relations.md#follower_ratios). NULL: "
        "the post has a label.",
        _listed("dropped", POSTS),
        "## Photos",
        "`status` of [`photos`](relations.md#photos). NULL: the picture was not read yet.",
        _listed("status", PHOTOS),
        "## Predictions",
        "`status` of `features predict`, `features crop` and the API: one of these, or the status of a photo.",
        _listed("status", PREDICTIONS),
        "## Downloads",
        "`status` of [`fetch_attempts`](relations.md#fetch_attempts). A temporary failure is tried again by itself, "
        "and by `features fetch --retry healable`. The last column is the status of the photo if no attempt follows.",
        table(
            ("status", "meaning", "temporary", "status of the photo"),
            (
                (code(name), sentence(one.sentence), "yes" if one.is_temporary else "", code(one.file_status))
                for name, one in STATUSES.items()
            ),
        ),
        "## Crawls",
        "`status` of [`crawl_targets`](relations.md#crawl_targets).",
        _listed("status", CRAWL_STATUSES),
        "## Access tokens",
        "`state` of `features tokens`.",
        _listed("state", TOKENS),
        "## Near-duplicates",
        "`reason` of [`near_duplicates`](relations.md#near_duplicates): the first that holds.",
        _listed("reason", DUPLICATES),
        "## Findings of the doctor",
        "`state` of `features doctor`.",
        _listed("state", DOCTOR),
    ]
    return "\n\n".join(parts) + "\n"


def _errors() -> Iterator[tuple[str, ...]]:
    for depth, kind in _tree(errors.PhotogenicError):
        if kind is errors.PhotogenicError:
            continue
        answer = to_api_error(kind("", ""))
        yield (
            "&nbsp;" * 4 * (depth - 1) + code(kind.__name__),
            (kind.__doc__ or "").partition("\n\n")[0].split(" The command line")[0],
            str(kind.exit_code),
            f"{answer.status} {code(answer.code)}",
            REMEDIES[kind.__name__],
        )


def _tree(kind: type[errors.PhotogenicError], depth: int = 0) -> Iterator[tuple[int, type[errors.PhotogenicError]]]:
    yield depth, kind
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from _tree(below, depth + 1)


def _words(name: str, column: str) -> set[str]:
    """Return the words that the comment of a column lists."""
    (comment,) = (one.comment for one in relation(name).columns if one.name == column)
    parts = [part.removeprefix("NULL: kept") for part in comment.split(";")]
    listed = next(part for part in parts if part.count(",") > 1)
    return {word.strip().split(":")[0] for word in listed.split(",")}


def _same(what: str, here: Iterable[str], there: Iterable[str]) -> None:
    if set(here) != set(there):
        raise ValueError(f"{what}: docs/_tools/errors.py and the code differ in {sorted({*here} ^ {*there})}")


def _listed(head: str, meanings: dict[str, str] | dict[object, str]) -> str:
    return table((head, "meaning"), ((code(name), sentence(text)) for name, text in meanings.items()))
