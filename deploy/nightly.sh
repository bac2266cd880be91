#!/bin/sh
# Take in the files of a folder and bring the store up to date. Ends with the exit code of the first command that fails.
#
#   FEATURES_STORE=/var/lib/photogenic/store deploy/nightly.sh /var/lib/photogenic/incoming
#
# MAX_REFUSED=1%   exit code 3 if more rows of a kind are refused
# MAX_AGE=26h      exit code 4 if the newest data in the labels are older
#
# Every step may be killed and run again: what was taken in or computed is kept, and the same files again change nothing.
set -eu
incoming="$1"
[ -d "$incoming" ] || { echo "There is no folder '$incoming'. Is its disk mounted?" >&2; exit 1; }

# Take in all files of a kind, if there are any: users.csv, users-2026-11-29.parquet, ...
take_in() {
    kind="$1" pattern="$2"
    shift 2
    set -- "$@" "$incoming"/"$pattern"*
    for last; do :; done
    [ ! -e "$last" ] || features ingest "$kind" "$@" ${MAX_REFUSED:+--max-refused "$MAX_REFUSED"}
}

take_in users users
if [ -d "$incoming/images" ]; then
    take_in photos photos --images "$incoming/images"
else
    take_in photos photos
fi
take_in main-photos main_photos
take_in swipes swipes
features build
features status --check ${MAX_AGE:+--max-age "$MAX_AGE"}
