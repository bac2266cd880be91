"""Two examples for the program and each command, shown at the end of the help.

They run in the folder in which `features demo` has made `store`; names of files, photos and users are of the demo.
`login` and `crawl` need an app of the social network, `weights add` needs a file of the user.
"""

from __future__ import annotations

__all__ = ["EXAMPLES", "epilog"]

EXAMPLES: dict[str, tuple[str, str]] = {
    "": ("features demo", "features sql 'select * from gender_breakdown'"),
    "init": ("features init photo-lab", "features init photo-lab --store store"),
    "demo": ("features demo", "features demo --users 1000 --seed 1 --store demo-store"),
    "ingest": (
        "features ingest users store/demo/world/users.csv",
        "features ingest swipes 'store/demo/world/swipes*'",
    ),
    "ingest users": (
        "features ingest users store/demo/world/users.csv",
        "features ingest users - < store/demo/world/users.csv",
    ),
    "ingest photos": (
        "features ingest photos store/demo/world/photos.csv --images store/demo/world/images",
        "features ingest photos - --images store/demo/world/images < store/demo/world/photos.csv",
    ),
    "ingest main-photos": (
        "features ingest main-photos store/demo/world/main_photos.csv",
        "features ingest main-photos store/demo/world/main_photos.csv --format json",
    ),
    "ingest swipes": (
        "features ingest swipes store/demo/world/swipes.parquet",
        "features ingest swipes 'store/demo/world/swipes*'",
    ),
    "ingest predictions": (
        "features ingest predictions predictions.csv --run my_model",
        "features ingest predictions popular.parquet --run my_model --target popular --trained-on train.csv",
    ),
    "retract": (
        "features retract swipes store/demo/world/swipes-late.csv",
        "features retract main-photos - < store/demo/world/main_photos.csv",
    ),
    "retract users": (
        "features retract users store/demo/world/users.csv",
        "features retract users - < store/demo/world/users.csv",
    ),
    "retract photos": (
        "features retract photos store/demo/world/photos.csv",
        "features retract photos - < store/demo/world/photos.csv",
    ),
    "retract main-photos": (
        "features retract main-photos store/demo/world/main_photos.csv",
        "features retract main-photos store/demo/world/main_photos.csv --arrived-at 2026-01-01",
    ),
    "retract swipes": (
        "features retract swipes store/demo/world/swipes-late.csv",
        "features retract swipes store/demo/world/swipes-late.csv --format json",
    ),
    "sync": ("features sync --plan", "features sync users swipes --max-refused 1%"),
    "login": ("features login --app-id 1000001", "features login --app-id 1000001 --no-browser --port 9000"),
    "tokens": ("features tokens", "features tokens --format json"),
    "crawl": (
        "features crawl instagram --usernames usernames.txt --max-posts 100",
        "features crawl instagram --hashtag selfie --top",
    ),
    "crawl instagram": (
        "features crawl instagram --usernames usernames.txt --max-posts 100",
        "features crawl instagram --hashtag selfie --top",
    ),
    "listen": (
        "features listen kafka://broker:9092/swipes --kind swipes",
        "features listen kafka://broker:9092/swipes --kind swipes --from 2026-03-01 --until-end",
    ),
    "fetch": ("features fetch", "features fetch --retry healable --per-host 4"),
    "build": ("features build", "features build --encoder dlib_face --plan"),
    "test": ("features test --project photo-lab", "features test owner_activity --project photo-lab --format json"),
    "export": (
        "features export photo_labels vectors_dlib_face --to exported",
        "features export --query 'from swipes where liked' --to exported --as csv --table likes",
    ),
    "encoders": ("features encoders", "features encoders --format json"),
    "weights": ("features weights list", "features weights fetch dlib_face"),
    "weights list": ("features weights list", "features weights list --format csv"),
    "weights add": ("features weights add facenet facenet.pt", "features weights add alexnet alexnet.pth"),
    "weights fetch": ("features weights fetch dlib_face", "features weights fetch efficientnet_lite0 dlib_face"),
    "vectors": ("features vectors remove dlib_face --plan", "features vectors remove dlib_face --yes"),
    "vectors remove": ("features vectors remove dlib_face --plan", "features vectors remove dlib_face --yes"),
    "sql": (
        "features sql 'select * from gender_breakdown'",
        "features sql 'from photo_labels' --output photo_labels.parquet",
    ),
    "lineage": ("features lineage photo_labels.value --up", "features lineage swipes --down --format json"),
    "similar": (
        "features similar p000001 -k 5 --popular --where \"gender = 'female'\"",
        "features similar p000001 p000002 --per-user 1 --popularity 0.3",
    ),
    "compare": (
        "features compare efficientnet_lite0 dlib_face --output compare.html",
        "features compare efficientnet_lite0 dlib_face --only overlap --format json",
    ),
    "train": (
        "features train --encoder dlib_face --head logistic --target popular",
        "features train --target photos.likes --features 'photo_quality.*,users.followers'",
    ),
    "finetune": ("features finetune", "features finetune --target popular --iterations 300"),
    "training-set": (
        "features training-set list",
        "features training-set create may --target users.followers --features photos.width",
    ),
    "training-set create": (
        "features training-set create may --target users.followers --features photos.width,dlib_face",
        "features training-set create seen --entity photo_swipes --at swiped_at --target photo_swipes.liked "
        "--features users.followers --every 1mo",
    ),
    "training-set list": ("features training-set list", "features training-set list --format json"),
    "training-set show": ("features training-set show may", "features training-set show may --version 1 --format json"),
    "training-set export": (
        "features training-set export may exported",
        "features training-set export may exported-1 --version 1",
    ),
    "training-set verify": ("features training-set verify", "features training-set verify may --format json"),
    "training-set remove": (
        "features training-set remove may --version 1 --yes",
        "features training-set remove may --yes",
    ),
    "predict": (
        "features predict store/demo/world/images/p000001.jpg",
        "features predict 'store/demo/world/images/p00000*' --target gender --format json",
    ),
    "crop": (
        "features crop store/demo/world/images/p000001.jpg",
        "features crop store/demo/world/images/p000001.jpg --aspect 4:5 --output crop.jpg",
    ),
    "runs": ("features runs list", "features runs demote like_ratio"),
    "runs list": ("features runs list", "features runs list --target like_ratio --format json"),
    "runs show": ("features runs show my_model", "features runs show my_model --format json"),
    "runs promote": ("features runs promote RUN", "features runs promote RUN --force"),
    "runs demote": ("features runs demote like_ratio", "features runs demote popular"),
    "runs remove": ("features runs remove my_model", "features runs remove my_model --yes"),
    "report": ("features report", "features report --output report.html"),
    "serve": ("features serve", "features serve --port 9000"),
    "status": ("features status", "features status --format json"),
    "config": ("features config", "features config --format json"),
    "doctor": ("features doctor", "features doctor --thorough --fix"),
    "erase": ("features erase u000003", "features erase u000004 u000005 --yes"),
    "backup": ("features backup backup", "features backup backup --thorough"),
    "restore": ("features restore backup --store restored", "features restore backup --replace --yes"),
}


def epilog(command: str) -> str:
    """Return the examples of a command, one a line."""
    return "\n".join(EXAMPLES[command])
