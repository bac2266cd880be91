"""Every command of the program: its group, its summary, and the function that it calls.

The help of the program and the completion of names are made from this table, without the module of any command. A
module is imported when its command is asked for: see `app.cli.lazy_group`.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["COMMANDS", "GROUPS", "Entry", "below"]


class Entry(NamedTuple):
    """One command, or one word that commands stand below.

    Attributes:
        name: words after `features`, e.g. `ingest swipes`.
        group: heading in the help of the program.
        summary: first sentence of its help. The docstring of the function holds further sentences.
        module: name of a module of `app.cli.commands`; empty: other commands stand below this name.
        function: name of a function of that module.
    """

    name: str
    group: str
    summary: str
    module: str = ""
    function: str = "run"


GROUPS = ("Data", "Build", "Ask", "Model", "Serve", "Care")
"""Groups of commands in the order of help."""

_ENTRIES = (
    Entry("init", "Data", "Make a project folder for relations and features of your own.", "init"),
    Entry("demo", "Data", "Make a store of synthetic users, and run every step on it.", "demo"),
    Entry("ingest", "Data", "Load users, photos, main photos, swipes or predictions."),
    Entry("ingest users", "Data", "Load users from files.", "ingest", "users"),
    Entry("ingest photos", "Data", "Load photos from files, and copy their pictures.", "ingest", "photos"),
    Entry(
        "ingest main-photos",
        "Data",
        "Load changes of main photos from files.",
        "ingest",
        "main_photos",
    ),
    Entry("ingest swipes", "Data", "Load swipes, which are likes and passes, from files.", "ingest", "swipes"),
    Entry(
        "ingest predictions",
        "Data",
        "Load predictions made elsewhere, and compare them with the heads.",
        "ingest",
        "predictions",
    ),
    Entry("retract", "Data", "Take back what had come in, by files that name it."),
    Entry("retract users", "Data", "Take back users: their accounts are gone.", "ingest", "retract_users"),
    Entry("retract photos", "Data", "Take back photos: they are deleted.", "ingest", "retract_photos"),
    Entry(
        "retract main-photos",
        "Data",
        "Take back changes of main photos.",
        "ingest",
        "retract_main_photos",
    ),
    Entry("retract swipes", "Data", "Take back swipes.", "ingest", "retract_swipes"),
    Entry("sync", "Data", "Take in what is new in the sources of photogenic.toml.", "sync"),
    Entry("login", "Data", "Log in to the social network, and keep an access token.", "crawl", "login"),
    Entry("tokens", "Data", "List access tokens with their requests left, expiry and state.", "crawl", "tokens"),
    Entry("crawl", "Data", "Read posts, owners and counts from the API of a social network."),
    Entry("crawl instagram", "Data", "Read posts of Instagram accounts and hashtags.", "crawl", "instagram"),
    Entry("listen", "Data", "Take in the events of a Kafka topic as they come, each once.", "listen"),
    Entry("fetch", "Data", "Download the pictures of photos that are known by URL only.", "fetch"),
    Entry("build", "Build", "Bring labels, faces, embeddings and search indices up to date.", "build"),
    Entry("export", "Build", "Write relations, vectors and training sets to files and tables.", "export"),
    Entry("encoders", "Build", "List the networks that turn photos into embeddings.", "encoders"),
    Entry("weights", "Build", "List, add and download the weight files of networks."),
    Entry("weights list", "Build", "List the weight files and their paths on this machine.", "weights", "list_"),
    Entry("weights add", "Build", "Use your own weights in place of published ones.", "weights", "add"),
    Entry("weights fetch", "Build", "Download weights now, so that later work needs no network.", "weights", "fetch"),
    Entry("vectors", "Build", "Remove the embeddings of an encoder."),
    Entry("vectors remove", "Build", "Remove the embeddings of encoders, with their indices.", "vectors", "remove"),
    Entry("test", "Build", "Test the relations of the project on their literal examples.", "test"),
    Entry("sql", "Ask", "Run a read-only SQL query, or open a prompt.", "sql"),
    Entry("lineage", "Ask", "Print where a number comes from, and what depends on it.", "lineage"),
    Entry("similar", "Ask", "Find the photos most similar to a photo or picture file.", "similar"),
    Entry("compare", "Ask", "Compare two encoders: neighbors, heads and cost side by side.", "compare"),
    Entry("train", "Model", "Train heads on the embeddings, and print the leaderboard.", "train"),
    Entry("finetune", "Model", "Train a network on the photos, and compare it with the heads.", "finetune"),
    Entry("training-set", "Model", "Create, read and check training sets with a name."),
    Entry("training-set create", "Model", "Create the next version of a named training set.", "training_set", "create"),
    Entry("training-set list", "Model", "List named training sets and their versions.", "training_set", "list_"),
    Entry(
        "training-set show", "Model", "Print what a training set holds, and how it was made.", "training_set", "show"
    ),
    Entry("training-set export", "Model", "Copy the files of a training set into a folder.", "training_set", "export"),
    Entry("training-set verify", "Model", "Check every byte of training sets.", "training_set", "verify"),
    Entry("training-set remove", "Model", "Remove a training set, or one version of it.", "training_set", "remove"),
    Entry("predict", "Model", "Predict the popularity of pictures with a trained head.", "predict"),
    Entry("crop", "Model", "Find the crop of a picture with the highest prediction.", "crop"),
    Entry("runs", "Model", "List, show, promote and remove runs."),
    Entry("runs list", "Model", "List the runs, and which of them predict.", "runs", "list_"),
    Entry("runs show", "Model", "Print everything about one run.", "runs", "show"),
    Entry("runs promote", "Model", "Choose the run that predicts its target.", "runs", "promote"),
    Entry("runs demote", "Model", "Let the best run on dev predict a target again.", "runs", "demote"),
    Entry("runs remove", "Model", "Remove runs with their weights and predictions.", "runs", "remove"),
    Entry("report", "Serve", "Write the results into one HTML file, and print its path.", "report"),
    Entry("serve", "Serve", "Serve web pages and a JSON API, both read-only.", "serve"),
    Entry("status", "Care", "Print row counts, how fresh they are, and which process writes.", "status"),
    Entry("config", "Care", "Print every setting and where its value comes from.", "config"),
    Entry("doctor", "Care", "Check machine and store, and print a remedy for each fault.", "doctor"),
    Entry("erase", "Care", "Remove users from everything, and print a receipt.", "erase"),
    Entry("backup", "Care", "Copy the store into a backup folder while it is in use.", "backup", "backup"),
    Entry("restore", "Care", "Restore a store from a backup.", "backup", "restore"),
)

COMMANDS = {entry.name: entry for entry in _ENTRIES}
"""Entries by name, in the order of help."""


def below(name: str) -> dict[str, Entry]:
    """Return the commands directly below a name by their last word; an empty name stands for the program."""
    n_words = len(name.split())
    return {
        words[-1]: entry
        for entry in _ENTRIES
        for words in [entry.name.split()]
        if len(words) == n_words + 1 and " ".join(words[:-1]) == name
    }
